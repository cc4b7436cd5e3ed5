"""Writable attachments: what was written is in the image when the device has gone, or an error says it is not."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import ImageError, ImageWriteError, LoopDevice, Loops
from tests.support import oracle, rawloop
from tests.support.forked import elsewhere
from tests.support.holding import reader_for
from tests.support.images import make_image
from tests.support.media import autoclear, is_bound, new_id, new_image
from tests.support.needs import require_tool
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE_BYTES = 4 * 1024 * 1024
WRITTEN = b"W" * SIZE_BYTES


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that is not sparse."""
    return new_image(tmp_path, size_bytes=SIZE_BYTES)


def _sparse(folder: Path) -> Path:
    image = folder / f"{new_id()}.img"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    return image


def _write(device: LoopDevice) -> None:
    """Write all of a device without fsync, so that pages are dirty when the descriptor is closed."""
    with rawloop.opened(device, os.O_WRONLY) as descriptor:
        assert os.pwrite(descriptor, WRITTEN, 0) == SIZE_BYTES


def test_what_was_written_is_in_the_image_after_the_block(loops: Loops, image: Path) -> None:
    """What was written without fsync is in the image after the exit."""
    with loops.attached(image, writable=True) as device:
        assert not device.read_only
        _write(device)
    assert not is_bound(device)
    assert image.read_bytes() == WRITTEN


def test_what_another_process_wrote_is_in_the_image_after_the_block(loops: Loops, image: Path) -> None:
    """The same where another process wrote."""
    with loops.attached(image, writable=True) as device:
        elsewhere(lambda: _write(device))
    assert image.read_bytes() == WRITTEN


def test_what_was_written_is_in_the_image_after_an_error_in_the_block(loops: Loops, image: Path) -> None:
    """The same where an error ended the block."""

    def fail() -> None:
        with loops.attached(image, writable=True) as device:
            _write(device)
            raise ValueError("of the body")

    with pytest.raises(ValueError, match="of the body"):
        fail()
    assert image.read_bytes() == WRITTEN


@pytest.mark.parametrize("release", ["release", "release_all by path", "release_all by id"])
def test_what_was_written_is_in_the_image_after_the_release(loops: Loops, image: Path, release: str) -> None:
    """A kept device: what another process wrote without fsync is in the image after any kind of release."""
    device = loops.attach_kept(image, writable=True)
    elsewhere(lambda: _write(device))
    if release == "release":
        loops.release(device)
    else:
        loops.release_all(image if release == "release_all by path" else image.stem)
    assert not is_bound(device)
    assert image.read_bytes() == WRITTEN


def test_a_file_system_can_be_written(loops: Loops, tmp_path: Path) -> None:
    """A mount of a kept writable device and what is written there end up in the image."""
    image = make_image(tmp_path / f"{new_id()}.img")
    device = loops.attach_kept(image, writable=True)
    with mounted(device.path, tmp_path / "mnt") as folder:
        (folder / "new").write_bytes(WRITTEN[:100])
    loops.release(device)
    assert "new" in oracle.run(require_tool("debugfs"), "-R", "ls", image)


def test_a_scoped_one_can_be_mounted_writable(loops: Loops, tmp_path: Path) -> None:
    """The descriptor that holds a scoped device does not keep a writable mount out."""
    image = make_image(tmp_path / f"{new_id()}.img")
    with loops.attached(image, writable=True) as device, mounted(device.path, tmp_path / "mnt") as folder:
        (folder / "new").write_bytes(WRITTEN[:100])
    assert "new" in oracle.run(require_tool("debugfs"), "-R", "ls", image)


def test_a_kept_writable_device_that_is_in_use_is_not_armed(loops: Loops, image: Path) -> None:
    """A failed release of a writable device leaves AUTOCLEAR clear, and a later one writes back and detaches."""
    device = loops.attach_kept(image, writable=True)
    with rawloop.opened(device, os.O_RDWR) as descriptor:
        os.pwrite(descriptor, WRITTEN, 0)
        with pytest.raises(OSError, match="this very process") as caught:
            loops.release(device, timeout=0.1)
        assert caught.value.errno == errno.EBUSY
        assert autoclear(device) == "0"
    loops.release(device)
    assert image.read_bytes() == WRITTEN


def _enter(loops: Loops) -> Callable[..., LoopDevice]:
    return lambda image, writable: loops.attached(image, writable=writable).__enter__()


@pytest.mark.parametrize("kept", [False, True])
def test_a_read_only_file_system_is_an_error(tmp_path: Path, loops: Loops, *, kept: bool) -> None:
    """Writable asked for an image on a read-only file system is ImageError with EROFS, and nothing is attached."""
    with mounted("none", tmp_path / "ro", "-t", "tmpfs") as folder:
        image = new_image(folder)
        oracle.run("mount", "-o", "remount,ro", folder)
        attach = loops.attach_kept if kept else _enter(loops)
        with pytest.raises(ImageError) as caught:
            attach(image, writable=True)
        assert caught.value.errno == errno.EROFS
        assert not oracle.bound_devices(image)
        with loops.attached(image) as device:
            assert rawloop.sysfs(device.number, "ro") == b"1"


def test_a_sparse_image_is_warned_of(loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sparse image attached writable is a warning in the log; read-only, or a full one, is none."""
    sparse, full = _sparse(tmp_path), new_image(tmp_path)
    with caplog.at_level(logging.DEBUG, "ntt_loops"):
        with loops.attached(sparse), loops.attached(full, writable=True):
            assert caplog.records == []
        with loops.attached(sparse, writable=True):
            (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "ntt_loops")
    assert "sparse" in record.message


def test_a_write_that_the_file_system_refused_is_an_error(tmp_path: Path, loops: Loops) -> None:
    """What did not fit on the image's file system is ImageWriteError at the exit, and the device is gone."""
    with mounted("none", tmp_path / "small", "-t", "tmpfs", "-o", "size=1m") as folder:
        image = _sparse(folder)

        def write() -> None:
            with loops.attached(image, writable=True) as device:
                _write(device)

        with pytest.raises(ImageWriteError, match="do not use the image"):
            write()
        assert not oracle.bound_devices(image)


def test_a_write_that_was_refused_is_an_error_of_the_release(tmp_path: Path, loops: Loops) -> None:
    """The same for a kept device: its release raises, so that the image is not packed; the device is gone."""
    with mounted("none", tmp_path / "small", "-t", "tmpfs", "-o", "size=1m") as folder:
        image = _sparse(folder)
        _write(loops.attach_kept(image, writable=True))
        with pytest.raises(ImageWriteError, match="do not pack or unlink"):
            loops.release_all(image)
        assert not oracle.bound_devices(image)


def test_a_refused_write_is_an_error_though_a_later_try_succeeds(tmp_path: Path, loops: Loops) -> None:
    """The kernel tells of a refused write once: a release that had to try again after that raises all the same."""
    with mounted("none", tmp_path / "small", "-t", "tmpfs", "-o", "size=1m") as folder:
        image = _sparse(folder)
        device = loops.attach_kept(image, writable=True)
        _write(device)
        with reader_for(device, 0.5), pytest.raises(ImageWriteError):
            loops.release_all(image)
        assert not oracle.bound_devices(image)
