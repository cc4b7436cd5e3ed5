"""Partitions: what the table says, what the kernel has of it, and adding what is missing.

Many kernels read no table by themselves, some only some kinds, and any may have lost the race for the first read (F32).
So partx(8) is asked for the table, and adds what the kernel lacks; the kernel drops all of it at the detach (F31).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ntt_loops._attachment.identity import Identity
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._plain import fields_of
from ntt_loops.errors import LoopPermissionError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ntt_loops._attachment.device import LoopDevice
    from ntt_loops._kernel import Handle, Kernel, PartitionNode, TableEntry

#: One partx(8) takes some milliseconds; longer only where the storage is slow.
PARTX_SECONDS = 10.0


@attrs.frozen
class Partition(os.PathLike[str]):
    """A partition of a device; usable wherever a path is.

    Attributes:
        path: The node, such as ``/dev/loop17p1``; where it would be, if ``status`` is ``absent``.
        number: The number in it.
        start_bytes: Where on the device it begins.
        size_bytes: How long it is, by the table.
        type: What the table says it is, in libblkid's words: ``0x83``, a GUID in small letters, ``Apple_HFS``; empty
            where the table does not have it.
        status: ``ok``: it is there. ``truncated``: it reaches past the device's end, so it is not to be mounted: reads
            may hang or fail. ``absent``: the kernel did not take it, because it overlaps another one, say.
    """

    path: Path
    number: int
    start_bytes: int
    size_bytes: int
    type: str = ""
    status: Literal["ok", "truncated", "absent"] = "ok"

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def read(kernel: Kernel, device: LoopDevice) -> tuple[Partition, ...]:
    """Read a device's table, add what fits and is missing, and list all of it by number.

    Nothing once the number belongs to another attachment; the device is open meanwhile, so it cannot become one (F15).
    """
    with kernel_errors(medium=device.medium, device=device):
        handle = _pinned(kernel, device)
        if handle is None:
            return ()
        try:
            table = kernel.partition_table(handle, within=PARTX_SECONDS)
            size_bytes = kernel.get_size_bytes(handle)
            there = {one.number for one in kernel.partitions(device.number)}
            try:
                for first, last in _ranges(table, there, size_bytes):
                    kernel.add_partitions(handle, first, last, within=PARTX_SECONDS)
            except PermissionError as error:
                raise _not_added(device, error) from error
            found = tuple(_listed(kernel, device.number, table, size_bytes))
        finally:
            handle.close()
        return found


def _pinned(kernel: Kernel, device: LoopDevice) -> Handle | None:
    """Open the device if it is still that attachment; another one's is not opened, where there is a diskseq."""
    identity = Identity.of_device(device)
    if not identity.is_bound(kernel):
        return None
    try:
        handle = kernel.open(device.number)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _forbidden(device, error) from error
        if error.errno in (errno.ENXIO, errno.ENOENT) and not identity.is_bound(kernel):
            return None
        raise
    is_still = False
    try:
        is_still = _is_still(kernel, handle, identity)
    finally:
        if not is_still:
            handle.close()
    return handle if is_still else None


def _is_still(kernel: Kernel, handle: Handle, identity: Identity) -> bool:
    try:
        if identity.diskseq is not None:
            return kernel.get_diskseq(handle) == identity.diskseq
        return identity.agrees(kernel.get_status(handle))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise


def _ranges(table: Iterable[TableEntry], there: Collection[int], size_bytes: int) -> list[tuple[int, int]]:
    """Return from which to which number to add, so that none between is there already or truncated.

    Old kernels take a truncated one, too, and then reads of it hang or fail.
    """
    ranges: list[tuple[int, int]] = []
    is_going_on = False
    for entry in sorted(table, key=lambda one: one.number):
        is_wanted = entry.number not in there and not _is_truncated(entry, size_bytes)
        if is_wanted:
            first = ranges.pop()[0] if is_going_on else entry.number
            ranges.append((first, entry.number))
        is_going_on = is_wanted
    return ranges


def _listed(kernel: Kernel, number: int, table: Iterable[TableEntry], size_bytes: int) -> Iterator[Partition]:
    """Yield what the table and the kernel have, by number; where they do not agree, it is the kernel that is read."""
    entries = {one.number: one for one in table}
    nodes = {one.number: one for one in kernel.partitions(number)}
    for partition in sorted(entries.keys() | nodes.keys()):
        entry, node = entries.get(partition), nodes.get(partition)
        path = Path(kernel.node(number, partition) if node is None else kernel.usable_node(number, partition))
        if node is not None and (entry is None or not _is_same(entry, node, size_bytes)):
            yield Partition(path, partition, node.start_bytes, node.size_bytes)
        elif entry is not None:
            status: Literal["ok", "absent"] = "absent" if node is None else "ok"
            is_cut = _is_truncated(entry, size_bytes)
            place = entry.start_bytes, entry.size_bytes
            yield Partition(path, partition, *place, entry.type, "truncated" if is_cut else status)


def _is_truncated(entry: TableEntry, size_bytes: int) -> bool:
    return entry.start_bytes + entry.size_bytes > size_bytes


def _is_same(entry: TableEntry, node: PartitionNode, size_bytes: int) -> bool:
    """Whether the kernel's partition is the table's: of an extended or truncated one it shows a part only (F55)."""
    is_shorter = entry.is_extended or _is_truncated(entry, size_bytes)
    return entry.start_bytes == node.start_bytes and (is_shorter or entry.size_bytes == node.size_bytes)


def _not_added(device: LoopDevice, error: OSError) -> LoopPermissionError:
    message = (
        f"the partitions of {device} (medium {device.medium}) are not there, and adding them takes CAP_SYS_ADMIN, "
        "which this process has not"
    )
    return LoopPermissionError(message, medium=device.medium, device=device, errno=error.errno)


def _forbidden(device: LoopDevice, error: OSError) -> LoopPermissionError:
    message = (
        f"the partition table of {device} (medium {device.medium}) may not be read: {error.strerror}; it takes root, "
        "or read access to the node"
    )
    return LoopPermissionError(message, medium=device.medium, device=device, errno=error.errno)
