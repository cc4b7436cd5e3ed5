"""What stands on a medium's mount points already, and whether it is of this very image."""

from __future__ import annotations

import errno
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import LoopDevice
from ntt_loops._ledger import Tag
from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ntt_loops._attachment.image import OpenImage
    from ntt_loops._kernel import Kernel, LoopStatus, Mount
    from ntt_loops._mounted_medium.folders import Folders

_NODE = re.compile(rb"loop(\d+)(?:p\d+)?")
_PART = re.compile(rb"p\d+")


@attrs.frozen
class Standing:
    """A mount of the medium, and the device it stands on."""

    mount: Mount
    number: int
    #: None: the whole disk.
    partition: int | None


def find_standing(kernel: Kernel, folders: Folders, medium: str) -> list[Standing]:
    """Return the mounts at the medium's mount points.

    Raises:
        MountError: Something that is no loop device stands there, or covers what does.
    """
    points = [point for point in kernel.mount_points() if _is_mount_point(folders, point)]
    if folders.base in points:  # what is below it is within the file system
        points = [folders.base]
    if not points:
        return []
    mounts = [one for one in kernel.mounts(only_ours=True) if one.mount_point in points and not one.is_covered]
    found = [standing for mount in mounts if (standing := _of(kernel, mount)) is not None]
    foreign = set(points) - {one.mount.mount_point for one in found}
    if foreign:
        where = os.fsdecode(min(foreign))
        message = (
            f"medium {medium} cannot be mounted at {os.fsdecode(folders.base)}: {where} is a mount of something else: "
            "unmount it, or give another root"
        )
        raise MountError(message, medium=medium, text="a foreign mount", errno=errno.EBUSY)
    return found


def _is_mount_point(folders: Folders, point: bytes) -> bool:
    head, _, name = point.rpartition(b"/")
    return point == folders.base or (head == folders.base and _PART.fullmatch(name) is not None)


def _of(kernel: Kernel, mount: Mount) -> Standing | None:
    for number in _numbers(kernel, mount.source):
        if kernel.rdev(number) == mount.rdev:
            return Standing(mount, number, None)
        for one in kernel.partitions(number):
            if one.rdev == mount.rdev:
                return Standing(mount, number, one.number)
    return None


def _numbers(kernel: Kernel, source: bytes) -> Iterator[int]:
    """Yield the number that the mount's source names, then all others: a name is a hint only."""
    match = _NODE.fullmatch(os.path.basename(source))
    named = [] if match is None else [int(match[1])]
    yield from named
    yield from (number for number in kernel.bound_numbers() if number not in named)


def devices_of(kernel: Kernel, standing: Iterable[Standing], image: OpenImage, medium: str) -> dict[int, LoopDevice]:
    """Return the devices below the mounts, by number.

    Raises:
        MountError: One is of another file.
    """
    found: dict[int, LoopDevice] = {}
    for one in standing:
        if one.number not in found:
            found[one.number] = _device(kernel, one, image, medium)
    return found


def _device(kernel: Kernel, standing: Standing, image: OpenImage, medium: str) -> LoopDevice:
    bound = kernel.look(standing.number)
    hangs = bound is not None and kernel.may_hang([bound.backing_file])[0]
    status, diskseq = kernel.status_of(standing.number, within=_WITHIN_SECONDS if hangs else None)
    if (status.backing_dev, status.backing_inode) != (image.dev, image.inode):
        other = "an unknown file" if bound is None else os.fsdecode(bound.backing_file)
        raise _other_image(standing, other, image, medium)
    tag = Tag.read(status.name)
    return LoopDevice(
        path=Path(kernel.usable_node(standing.number)),
        number=standing.number,
        diskseq=diskseq,
        image=Path(image.path),
        medium=medium,
        size_bytes=kernel.size_bytes(standing.number),
        tail_bytes=_tail_bytes(image, status),
        read_only=status.read_only,
        nonce="" if tag is None else tag.nonce,
        kernel=kernel,
    )


#: A server that has not answered in this many seconds is taken for stuck.
_WITHIN_SECONDS = 5.0


def _tail_bytes(image: OpenImage, status: LoopStatus) -> int:
    return image.tail_bytes if status.size_limit_bytes == 0 else 0


def _other_image(standing: Standing, other: str, image: OpenImage, medium: str) -> MountError:
    point = os.fsdecode(standing.mount.mount_point)
    message = (
        f"medium {medium}: {point} is mounted from another file, {other!r}, not from {image.path!r} as it is now: "
        f"unmount it first, with unmount_medium({medium!r}) or 'ntt-loops unmount {shlex.quote(medium)}'"
    )
    return MountError(message, medium=medium, image=image.path, text=f"mounted from {other}", errno=errno.EBUSY)
