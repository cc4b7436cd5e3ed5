"""Loop devices as sysfs lists them: nothing here opens a device, so nothing here disturbs its users (F36)."""

from __future__ import annotations

import errno
import io
import os
from typing import Final

from ntt_loops._kernel.values import SECTOR_BYTES, BoundDevice, LoopFlags, PartitionNode

BLOCK: Final = "/sys/block"
#: A sysfs attribute is at most one page.
_ATTRIBUTE_BYTES = 4097
#: How an attribute says that its device went, or is just going.
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)


def read_attribute(path: str) -> bytes | None:
    """Return an attribute without its one trailing newline (F27); None where it is gone."""
    try:
        with io.FileIO(path) as attribute:
            text = attribute.read(_ATTRIBUTE_BYTES)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return text.removesuffix(b"\n")


def read_number(path: str) -> int | None:
    """Return an attribute that is a number; None where it is gone."""
    text = read_attribute(path)
    return int(text) if text else None


def bound_numbers() -> list[int]:
    """Return the numbers of the bound devices.

    /proc/partitions names those that have a size in one read; only the others are looked at one by one (F36).
    """
    with open("/proc/partitions", "rb") as table:
        sized = {line.rsplit(b" ", 1)[-1].strip() for line in table}
    numbers = []
    _is_missing()
    for name in os.listdir(BLOCK):
        if (number := loop_number(name)) is None:
            continue
        if name.encode() in sized or os.access(f"{BLOCK}/{name}/loop", os.F_OK):
            numbers.append(number)
    return sorted(numbers)


def loop_number(name: str) -> int | None:
    """Return 7 for "loop7"; None for any other kind of name."""
    digits = name.removeprefix("loop")
    return int(digits) if digits != name and digits.isascii() and digits.isdecimal() else None


def is_bound(number: int) -> bool:
    """Whether anything is bound: ``loop/`` is there from the attach to the end of the detach, rundown too (F17)."""
    return os.access(f"{BLOCK}/loop{number}/loop", os.F_OK) or _is_missing()


def _is_missing() -> bool:
    """Raise OSError where there is no sysfs, so that nothing passes for gone; else return False."""
    if os.access(BLOCK, os.F_OK):
        return False
    raise OSError(errno.ENOSYS, "sysfs is not mounted on /sys, so that no loop device can be seen", BLOCK)


def exists(number: int) -> bool:
    """Whether there is a device of that number."""
    return os.access(f"{BLOCK}/loop{number}", os.F_OK)


def diskseq(number: int) -> int | None:
    """Return the diskseq; None before 5.15."""
    return read_number(f"{BLOCK}/loop{number}/diskseq")


def look(number: int) -> BoundDevice | None:
    """Return what is bound, as of one attachment: read again when it changed in between."""
    while True:
        before = diskseq(number)
        backing_file = _backing_file(number)
        if backing_file is None:
            return None
        if diskseq(number) == before:
            return BoundDevice(number, before, backing_file)


def flags(number: int) -> LoopFlags:
    """Return the flags of a bound device."""
    disk = f"{BLOCK}/loop{number}"
    return LoopFlags(
        read_only=read_attribute(f"{disk}/ro") != b"0",
        autoclear=read_attribute(f"{disk}/loop/autoclear") == b"1",
        partscan=read_attribute(f"{disk}/loop/partscan") == b"1",
    )


def size_bytes(number: int) -> int:
    """Return the size of a device; 0 where it is gone."""
    return (read_number(f"{BLOCK}/loop{number}/size") or 0) * SECTOR_BYTES


def _backing_file(number: int) -> bytes | None:
    try:
        return read_attribute(f"{BLOCK}/loop{number}/loop/backing_file")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return b""
        raise


def rdev(disk: str) -> int | None:
    """Return the device number of a disk or of a partition (its path below /sys/block); None where it is gone."""
    return rdev_at(f"{BLOCK}/{disk}")


def rdev_at(folder: str) -> int | None:
    """Return the device number that a folder of sysfs has; None where it is gone."""
    text = read_attribute(f"{folder}/dev")
    if text is None:
        return None
    major, minor = text.split(b":")
    return os.makedev(int(major), int(minor))


def name_of(device: int) -> bytes | None:
    """Return the kernel's name, such as ``loop7p1``, of a block device number; None where there is no such device."""
    try:
        link = os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}".encode())
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return os.path.basename(link)


def partitions(number: int) -> list[PartitionNode]:
    """Return the partitions that the kernel has, by number."""
    disk = f"loop{number}"
    beside = names(f"{BLOCK}/{disk}")
    if f"{disk}p" not in "/".join(beside):  # each attach looks here, among forty names, and mostly finds none
        return []
    found = [_partition(disk, name) for name in beside if name.startswith(f"{disk}p")]
    return sorted((one for one in found if one is not None), key=lambda one: one.number)


def _partition(disk: str, name: str) -> PartitionNode | None:
    folder = f"{BLOCK}/{disk}/{name}"
    number, start, size = (read_number(f"{folder}/{field}") for field in ("partition", "start", "size"))
    device = rdev(f"{disk}/{name}")
    if number is None or start is None or size is None or device is None:
        return None
    return PartitionNode(number, name, start * SECTOR_BYTES, size * SECTOR_BYTES, device)


def holders(number: int) -> list[tuple[str, str]]:
    """Return what is stacked on the disk or a partition: dm and md, with the name that they go by."""
    disk = f"{BLOCK}/loop{number}"
    folders = [disk, *(f"{disk}/{one.name}" for one in partitions(number))]
    found = {name for folder in folders for name in names(f"{folder}/holders")}
    return [(name, os.fsdecode(read_attribute(f"{BLOCK}/{name}/dm/name") or name.encode())) for name in sorted(found)]


def names(folder: str) -> list[str]:
    """Return what is in a folder; nothing where it is gone."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
