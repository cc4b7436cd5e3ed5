"""What a kernel or its surroundings may lack, each asked for by trying it: a version number does not say it.

What an older kernel cannot have is skipped; what each kernel can be built with, or a machine given, is a failure where
NTT_LOOPS_REQUIRE holds ``features``.
"""

from __future__ import annotations

import errno
import functools
import mmap
import os
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop, rig, tables
from tests.support.needs import find_tool, require_tool, skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_table_reader() -> None:
    """Skip or fail the running test where the kernel reads no partition tables by itself."""
    if not reads_tables():
        skip_or_fail("features", "this kernel reads no partition tables")


@functools.cache
def reads_tables() -> bool:
    """Whether PARTSCAN alone makes the partition of an MBR appear."""
    with tempfile.NamedTemporaryFile() as image:
        image.write(tables.mbr((64, 64, 0x83)).ljust(128 * tables.SECTOR, b"\0"))
        image.flush()
        with rawloop.attach(image.name, status=rawloop.Status(flags=rawloop.Flag.PARTSCAN)) as one:
            return rawloop.partitions(one.number) == [1]


def require_rundown() -> None:
    """Skip the running test where a detach is done within LOOP_CLR_FD: 6.1 for one has no other way."""
    if not has_rundown():
        pytest.skip("this kernel detaches within LOOP_CLR_FD, without a rundown")


@functools.cache
def has_rundown() -> bool:
    """Whether a device is bound until the last close after a LOOP_CLR_FD that took (F17)."""
    with _bound() as one:
        rawloop.clear_as_only_opener(one.held)
        return one.is_attached()


def require_lasting_partitions() -> None:
    """Skip the running test where the next open drops what an image without PARTSCAN left: 6.1 for one."""
    if opens_drop_partitions():
        pytest.skip("this kernel drops the partitions that BLKPG added at the next open of the device")


@functools.cache
def opens_drop_partitions() -> bool:
    """Whether the first open after an attach without PARTSCAN drops what BLKPG added meanwhile (F60).

    The device is one that nobody else can open first, since that is what is asked for.
    """
    with tempfile.TemporaryDirectory() as folder:
        image, node = rig.filled(Path(folder, "image")), Path(folder, "node")
        with rig.hidden_number(node) as number, rawloop.attach(image, number=number, private_node=node) as one:
            rawloop.add_partition(one.held, 1, 4096, 4096)
            with rawloop.opened(node):
                return rawloop.partitions(number) == []


@functools.cache
def takes_past_the_end() -> bool:
    """Whether BLKPG adds a partition that ends past the end of the device, as it did before Linux 6.5 (F55)."""
    with _bound() as one:
        try:
            rawloop.add_partition(one.held, 1, 0, 2 * tables.SECTOR)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSPC):
                raise
            return False
        with suppress(OSError):  # an open of another has dropped it (F60)
            rawloop.delete_partition(one.held, 1)
        return True


def require_missing_data_told() -> None:
    """Skip the running test where what an image lost at its end is read as zeros: 6.1 for one."""
    if not tells_missing_data():
        pytest.skip("this kernel reads zeros where an image was cut short")


@functools.cache
def tells_missing_data() -> bool:
    """Whether a read past the end of an image that was cut short fails (F63)."""
    with _bound(sectors=16) as one:
        os.truncate(rawloop.backing_file(one.number) or b"", 8 * tables.SECTOR)
        return not _reads_zeros(one)


def _reads_zeros(one: rawloop.Attachment) -> bool:
    with rawloop.opened(one.node, os.O_RDONLY | os.O_DIRECT) as fd, mmap.mmap(-1, mmap.PAGESIZE) as page:
        try:
            return os.preadv(fd, [page], 8 * tables.SECTOR) > 0 and bytes(page) == bytes(len(page))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False


def require_diskseq() -> None:
    """Skip the running test where attachments have no number: 5.10 for one."""
    if not has_diskseq():
        pytest.skip("this kernel has no diskseq")


@functools.cache
def has_diskseq() -> bool:
    """Whether the kernel numbers attachments (F8)."""
    with _bound() as one:
        return one.diskseq is not None


@contextmanager
def _bound(sectors: int = 1) -> Iterator[rawloop.Attachment]:
    with tempfile.NamedTemporaryFile() as image:
        image.write(b"A" * sectors * tables.SECTOR)
        image.flush()
        with rawloop.attach(image.name) as one:
            yield one


def require_filesystem(name: str) -> None:
    """Skip or fail the running test where the kernel has no such file system."""
    if not has_filesystem(name):
        skip_or_fail("features", f"this kernel has no {name}")


def has_filesystem(name: str) -> bool:
    """Whether the kernel knows a file system, now or as soon as its module is loaded."""
    words = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    return name in words or _succeeds("modprobe", "--quiet", "--dry-run", name)


def require_device_mapper() -> None:
    """Skip or fail the running test where there is no device mapper."""
    if not _succeeds(require_tool("dmsetup"), "version"):
        skip_or_fail("features", "this kernel has no device mapper")


def require_md() -> None:
    """Skip or fail the running test where there is no md."""
    require_tool("mdadm")
    if not Path("/proc/mdstat").exists():
        skip_or_fail("features", "this kernel has no md")


def require_udev() -> None:
    """Skip or fail the running test where no udev looks at devices."""
    if not has_udev():
        skip_or_fail("features", "no systemd-udevd is running")


@functools.cache
def has_udev() -> bool:
    """Whether systemd-udevd answers, which it does once it has nothing else to do."""
    return Path("/run/udev/control").exists() and _succeeds("udevadm", "control", "--ping", "--timeout=300")


def _succeeds(command: str, *arguments: str) -> bool:
    path = find_tool(command)
    return path is not None and subprocess.run([path, *arguments], capture_output=True, check=False).returncode == 0
