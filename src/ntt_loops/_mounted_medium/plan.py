"""What of a medium is to be mounted, and why the rest is not; nothing is mounted here.

blkid(8) and the table decide. The layout goes by how many file systems there are, not by how many of them can be
mounted: so a second look comes to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel import Probe
from ntt_loops._mounted_medium.lvm import has_metadata
from ntt_loops._mounting import Source
from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ntt_loops._attachment import LoopDevice, Partition
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._mounted_medium.values import Layout, Status

#: Where the file system of a Zip disk may begin that was imaged without its table.
ZIP_OFFSET_BYTES = 16384
_EXTENDED = frozenset(("0x5", "0xf", "0x85"))
_SWAP = frozenset(("swap", "swsuspend"))
_OF_DISCS = frozenset(("iso9660", "udf"))
#: One blkid(8) gets this part of the time that is left: one that hangs must not use up all of it.
_SHARE = 4


@attrs.frozen
class Entry:
    """A partition or the whole disk. Without a status it is to be mounted."""

    source: Source
    partition: Partition | None
    #: What blkid(8) said.
    fstype: str
    status: Status | None
    error: str = ""


@attrs.frozen
class Plan:
    """What is to be done.

    ``begins_at`` is 0, or the byte from which the image is to be attached anew.
    """

    entries: tuple[Entry, ...]
    hybrid: bool = False
    begins_at: int = 0

    @property
    def to_mount(self) -> tuple[Entry, ...]:
        """Return what is to be mounted."""
        return tuple(one for one in self.entries if one.status is None)

    @property
    def layout(self) -> Layout:
        """Whether there is one file system or several."""
        return "multi" if len(self.to_mount) > 1 else "single"


class Planner:
    """Looks at one device."""

    def __init__(
        self, kernel: Kernel, device: LoopDevice, deadline: Deadline, mounted: Mapping[int | None, str] | None = None
    ) -> None:
        """Take what is mounted already, by partition, with its file system: that is not asked again."""
        self._device = device
        self._kernel = kernel
        self._deadline = deadline
        self._mounted = mounted or {}

    def plan(self) -> Plan:
        """Look at the whole disk and at each partition."""
        whole, error = self._probe(None)
        found = [self._entry(one) for one in self._device.partitions]
        disk = self._whole(whole, error)
        if self._is_hybrid(whole, found):
            return Plan((disk,), hybrid=True)
        if any(one.status is None for one in found):
            return Plan(tuple(found))
        if whole.usage == "filesystem":  # one whose boot sector looks like a table
            return Plan((disk,), hybrid=bool(found or whole.table))
        if found:
            return Plan(tuple(found))
        if not (whole.type or whole.table or error) and self._is_zip():
            return Plan((disk,), begins_at=ZIP_OFFSET_BYTES)
        return Plan((disk,))

    def plan_whole(self) -> Plan:
        """Look at nothing but the whole, as of a device that begins at the file system."""
        return Plan((self._whole(*self._probe(None)),))

    def _source(self, partition: int | None) -> Source:
        return Source(self._kernel, self._device.number, partition)

    def _probe(self, partition: int | None, offset_bytes: int = 0) -> tuple[Probe, str]:
        """Ask blkid(8); return what it found, or why it could not be asked."""
        try:
            return self._source(partition).probe(self._deadline.remaining / _SHARE, offset_bytes=offset_bytes), ""
        except MountError as error:
            return Probe(), error.text

    def _is_zip(self) -> bool:
        return self._probe(None, ZIP_OFFSET_BYTES)[0].usage == "filesystem"

    def _whole(self, probe: Probe, error: str) -> Entry:
        """Return the whole disk; where blkid(8) found nothing, mount(8) may have the last word."""
        status, reason = ("failed", error) if error else self._judged(probe, 0)
        if status == "failed" and not (error or probe.type):
            status, reason = None, ""
        return Entry(self._source(None), None, self._mounted.get(None, probe.type), status, reason)

    def _entry(self, partition: Partition) -> Entry:
        source = self._source(partition.number)
        if partition.number in self._mounted:
            return Entry(source, partition, self._mounted[partition.number], None)
        status, reason = _judged_by_table(partition)
        if status is not None:
            return Entry(source, partition, "", status, reason)
        probe, error = self._probe(partition.number)
        status, reason = ("failed", error) if error else self._judged(probe, partition.start_bytes)
        return Entry(source, partition, probe.type, status, reason)

    def _judged(self, probe: Probe, start_bytes: int) -> tuple[Status | None, str]:
        status, reason = _judged(probe)
        if status == "lvm_detected" and not has_metadata(self._device.image, start_bytes):
            return "lvm_no_metadata", "a physical volume of LVM, without a word of its volume group"
        return status, reason

    def _is_hybrid(self, whole: Probe, found: Iterable[Entry]) -> bool:
        """Whether a disc's file system spans the disk, and the table only shows parts of it to other machines."""
        if whole.type not in _OF_DISCS or not whole.table:
            return False
        parts = (one for one in found if one.partition is not None)
        return whole.table == "mac" or any(
            one.fstype in _OF_DISCS or (one.partition is not None and one.partition.start_bytes == 0) for one in parts
        )


def _judged_by_table(partition: Partition) -> tuple[Status | None, str]:
    if partition.type in _EXTENDED:
        return "extended", "it only holds the logical partitions"
    if partition.status == "truncated":
        return "truncated", "it reaches past the end of the image, so that its mount would hang"
    if partition.status == "absent":
        return "failed", "the kernel did not take it"
    return None, ""


def _judged(probe: Probe) -> tuple[Status | None, str]:
    """Return why something is not to be mounted; no status where it is."""
    if probe.usage == "filesystem":
        return None, ""
    if probe.type == "LVM2_member":
        return "lvm_detected", "a physical volume of LVM: not assembled here"
    if probe.usage == "raid":
        return "raid_member", f"a member of a RAID ({probe.type}): not assembled here"
    if probe.type in _SWAP:
        return "swap", "swap space"
    return "failed", f"{probe.type} is not mounted here" if probe.type else "blkid(8) found no file system in it"
