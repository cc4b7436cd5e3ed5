"""Facts about what may be attached, what makes a device read-only, and what read-only protects."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.features import tells_missing_data
from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.oracle import run, sha256
from tests.support.rawloop import Flag, Status, attach, opened
from tests.support.rig import fails_with, filled, is_claimed, mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("backing", ["/dev/null", "/", "/proc/self/status"])
def test_f06_what_is_no_regular_file_or_block_device_is_refused(backing: str) -> None:
    """A character device, a folder, and most of procfs are refused: EINVAL."""
    with ExitStack() as stack:
        try:
            loop = stack.enter_context(attach(backing))
        except OSError as error:
            refusal = error.errno
        else:
            assert (backing, rawloop.size_bytes(loop.held)) == ("/proc/self/status", 0)
            pytest.skip("this kernel does not ask if a file can be read through an iterator")
    assert refusal == errno.EINVAL


def test_f06_some_procfs_files_attach_with_size_0() -> None:
    """A procfs file that can be read through an iterator attaches like any regular file, with size 0."""
    with attach("/proc/version") as loop:
        assert rawloop.size_bytes(loop.held) == 0


@pytest.mark.parametrize(("image_mode", "writable"), [(os.O_RDONLY, True), (os.O_RDWR, False)])
def test_f06_one_read_only_descriptor_makes_the_device_read_only(
    tmp_path: Path, image_mode: int, *, writable: bool
) -> None:
    """A read-only descriptor, of the image or of the device, gives a read-only device, whatever was asked."""
    with opened(filled(tmp_path / "image"), image_mode) as image, attach(image, writable=writable) as loop:
        assert rawloop.get_status(loop.held).flags == Flag.READ_ONLY
        assert rawloop.sysfs(loop.number, "ro") == b"1"


def test_f07_a_write_to_a_read_only_device_is_eperm_and_blkroset_does_not_change_that(tmp_path: Path) -> None:
    """A read-only device opens for writing, but a write is EPERM; BLKROSET(0) succeeds and undoes nothing.

    Where it does take, the driver refuses the write: EIO. The image stays as it was.
    """
    image = filled(tmp_path / "image")
    with attach(image) as loop:
        rawloop.set_read_only(loop.held, on=False)
        takes = rawloop.sysfs(loop.number, "ro") == b"0"
        with opened(loop.node, os.O_RDWR) as fd, fails_with(errno.EIO if takes else errno.EPERM):
            os.pwrite(fd, b"B" * 512, 0)
            os.fsync(fd)
    assert b"B" not in image.read_bytes()


def test_f46_sysfs_ro_follows_the_flag_at_configure(tmp_path: Path) -> None:
    """/sys/block/loopN/ro is 1 for a device that was bound with LO_FLAGS_READ_ONLY, else 0."""
    image = filled(tmp_path / "image")
    for flags, shown in ((Flag.READ_ONLY, b"1"), (Flag.NONE, b"0")):
        with attach(image, writable=True, status=Status(flags=flags)) as loop:
            assert rawloop.sysfs(loop.number, "ro") == shown
            assert rawloop.get_status(loop.held).flags == flags


def _copied_while_mounted(tmp_path: Path, make: Callable[[Path], object]) -> Path:
    """An image as a power failure leaves it: its journal holds what the file system does not."""
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    make(clean)
    with attach(clean, writable=True) as loop, mounted(loop.node, tmp_path / "live") as folder:
        with opened(filled(folder / "file")) as fd:
            os.fsync(fd)
        run("cp", "--sparse=always", clean, dirty)
    return dirty


@pytest.fixture
def dirty_ext4(tmp_path: Path) -> Path:
    """An ext4 whose journal has to be replayed."""
    return _copied_while_mounted(tmp_path, make_image)


def test_f07_mount_ro_on_a_writable_device_replays_the_journal_into_the_image(tmp_path: Path, dirty_ext4: Path) -> None:
    """`mount -o ro` over a writable device changes the image: the file system replays its journal."""
    before = sha256(dirty_ext4)
    with attach(dirty_ext4, writable=True) as loop, mounted(loop.node, tmp_path / "mnt", "-o", "ro"):
        pass
    assert sha256(dirty_ext4) != before


def test_f07_a_dirty_ext4_on_a_read_only_device_needs_noload(tmp_path: Path, dirty_ext4: Path) -> None:
    """Over a read-only device a dirty ext4 mounts with `noload` only, and the image stays as it was."""
    before = sha256(dirty_ext4)
    with attach(dirty_ext4) as loop:
        _assert_mounts_only_with("ro,noload", loop.node, tmp_path / "mnt")
    assert sha256(dirty_ext4) == before


def test_f07_a_dirty_xfs_on_a_read_only_device_needs_norecovery(tmp_path: Path) -> None:
    """Over a read-only device a dirty XFS mounts with `norecovery` only (`nouuid` if its twin is mounted)."""
    mkfs = require_tool("mkfs.xfs")

    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, 300 * 1024 * 1024)  # mkfs.xfs makes none below that
        run(mkfs, "-q", path)

    with attach(_copied_while_mounted(tmp_path, make)) as loop:
        _assert_mounts_only_with("ro,norecovery,nouuid", loop.node, tmp_path / "mnt")


def _assert_mounts_only_with(options: str, node: Path, target: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError), mounted(node, target, "-o", "ro"):
        pass
    with mounted(node, target, "-o", options):
        assert is_claimed(node)


def test_f63_what_an_image_lost_at_its_end_is_eio_or_zeros(tmp_path: Path) -> None:
    """The size of the device stays; a read of what is missing fails, or is zeros that the image never had."""
    image = filled(tmp_path / "image", size_bytes=64 * 1024)
    with attach(image) as loop:
        os.truncate(image, 32 * 1024)
        assert rawloop.size_bytes(loop.held) == 64 * 1024
        with opened(loop.node, os.O_RDONLY | os.O_DIRECT) as fd, mmap.mmap(-1, mmap.PAGESIZE) as page:
            assert os.preadv(fd, [page], 0) == len(page)
            assert bytes(page) == b"A" * len(page)
            with fails_with(errno.EIO) if tells_missing_data() else nullcontext():
                assert os.preadv(fd, [page], 48 * 1024) == len(page)
                assert bytes(page) == bytes(len(page))
