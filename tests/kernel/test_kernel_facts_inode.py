"""Facts about the inode of the backing file: does GET_STATUS64 know it, and is it still linked?"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.fuse import fuse
from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.rawloop import attach, opened
from tests.support.rig import filled, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

MIB = 1024 * 1024
AT_FDCWD = -100
HANDLE_BYTES = 128


@contextmanager
def on_ext4(tmp_path: Path) -> Iterator[Path]:
    """A folder on an ext4 of our own."""
    loops = attach(make_image(tmp_path / "ext4"), writable=True)
    with loops as loop, mounted(loop.node, tmp_path / "on-ext4") as folder:
        yield folder


@contextmanager
def on_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A folder on a tmpfs of our own."""
    with mounted("none", tmp_path / "on-tmpfs", "-t", "tmpfs", "-o", "size=2m") as folder:
        yield folder


@contextmanager
def on_overlay(tmp_path: Path) -> Iterator[Path]:
    """A folder on an overlay of our own."""
    with on_tmpfs(tmp_path) as folder:
        layers = {name: folder / name for name in ("lowerdir", "upperdir", "workdir")}
        for layer in layers.values():
            layer.mkdir()
        filled(layers["lowerdir"] / "lower")
        options = ",".join(f"{name}={layer}" for name, layer in layers.items())
        with mounted("none", tmp_path / "on-overlay", "-t", "overlay", "-o", options) as merged:
            yield merged


@contextmanager
def on_fuse(tmp_path: Path) -> Iterator[Path]:
    """A folder on a FUSE file system."""
    with fuse(tmp_path) as server:
        yield server.folder


@contextmanager
def on_btrfs(tmp_path: Path) -> Iterator[Path]:
    """A subvolume, which has a device number of its own, on a btrfs of our own."""
    image = filled(tmp_path / "btrfs", size_bytes=0)
    os.truncate(image, 128 * MIB)
    run(require_tool("mkfs.btrfs"), "-q", image)
    with attach(image, writable=True) as loop, mounted(loop.node, tmp_path / "on-btrfs") as folder:
        run("btrfs", "subvolume", "create", folder / "subvolume")
        yield folder / "subvolume"


def _assert_inode_is_known(image: Path, *, writable: bool) -> None:
    stat = image.stat()
    with attach(image, writable=writable) as loop:
        status = rawloop.get_status(loop.held)
        assert (status.device, status.inode) == (stat.st_dev, stat.st_ino)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("place", [on_ext4, on_tmpfs, on_overlay, on_fuse])
def test_f29_status_has_the_device_and_inode_that_stat_says(
    tmp_path: Path, place: Callable[[Path], AbstractContextManager[Path]], *, writable: bool
) -> None:
    """lo_device and lo_inode are st_dev and st_ino of the image on ext4, tmpfs, overlay and FUSE."""
    with place(tmp_path) as folder:
        _assert_inode_is_known(filled(folder / "image"), writable=writable)


def test_f29_status_has_the_inode_of_a_file_in_the_lower_layer_of_an_overlay(tmp_path: Path) -> None:
    """lo_device and lo_inode are those of stat also for a file that lies in the lower layer of an overlay."""
    with on_overlay(tmp_path) as folder:
        _assert_inode_is_known(folder / "lower", writable=False)


def test_f47_status_has_the_device_and_inode_that_stat_says_on_btrfs(tmp_path: Path) -> None:
    """lo_device and lo_inode are st_dev and st_ino also in a btrfs subvolume, with its anonymous device number."""
    with on_btrfs(tmp_path) as folder:
        assert os.major(folder.stat().st_dev) == 0
        _assert_inode_is_known(filled(folder / "image"), writable=False)


def test_f29_the_inode_of_an_unlinked_bound_image_is_not_used_again(tmp_path: Path) -> None:
    """An unlinked image keeps its inode number while it is bound: no new file gets it."""
    with on_ext4(tmp_path) as folder:
        image = filled(folder / "image", size_bytes=4096)
        inode = image.stat().st_ino
        with attach(image) as loop:
            image.unlink()
            new = [filled(folder / str(number), size_bytes=0).stat().st_ino for number in range(50)]
            assert inode not in new
            assert rawloop.get_status(loop.held).inode == inode


class _FileHandle(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * HANDLE_BYTES))


_LIBC = ctypes.CDLL(None, use_errno=True)


def _handle_of(path: Path) -> _FileHandle:
    handle, mount = _FileHandle(bytes=HANDLE_BYTES), ctypes.c_int()
    failed = _LIBC.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    assert not failed, os.strerror(ctypes.get_errno())
    return handle


def _links_of(handle: _FileHandle, folder: Path) -> int:
    with opened(folder) as mount:
        fd = _LIBC.open_by_handle_at(mount, ctypes.byref(handle), os.O_PATH | os.O_CLOEXEC)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        return os.fstat(fd).st_nlink
    finally:
        os.close(fd)


def _leave(image: Path) -> None:
    """Nothing happens to it."""


def _unlink(image: Path) -> None:
    image.unlink()


def _link_and_unlink(image: Path) -> None:
    image.with_name("second").hardlink_to(image)
    image.unlink()


def _rename(image: Path) -> None:
    image.rename(image.with_name("renamed"))


def _rename_over(image: Path) -> None:
    filled(image.with_name("new")).rename(image)


@pytest.mark.parametrize(
    ("happen", "links"), [(_leave, 1), (_unlink, 0), (_link_and_unlink, 1), (_rename, 1), (_rename_over, 0)]
)
def test_f28_the_file_handle_of_a_bound_image_tells_how_many_names_it_has(
    tmp_path: Path, happen: Callable[[Path], None], links: int
) -> None:
    """On ext4 a handle taken at attach, opened later, has st_nlink 0 if and only if the image has no name left."""
    with on_ext4(tmp_path) as folder:
        image = filled(folder / "image")
        handle = _handle_of(image)
        with attach(image):
            happen(image)
            assert _links_of(handle, folder) == links
