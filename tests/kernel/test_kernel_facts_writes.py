"""Facts about what was written to a device and has not reached the image yet."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.features import require_rundown
from tests.support.rawloop import Attachment, Flag, Status, attach, clear_as_only_opener, opened
from tests.support.rig import fails_with, filled, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE_BYTES = 1024 * 1024
OLD, NEW = b"A", b"B"
TRIES = 20


def _write(fd: int, byte: bytes = NEW) -> None:
    assert os.pwrite(fd, byte * SIZE_BYTES, 0) == SIZE_BYTES


def _content_after(image: Path, write: Callable[[Attachment], None], status: Status | None = None) -> set[bytes]:
    """Write to the device of a fresh image, detach as `write` does, and return the bytes the image consists of."""
    filled(image, OLD, size_bytes=SIZE_BYTES)
    with attach(image, writable=True, status=status) as loop:
        write(loop)
        rawloop.wait_until(lambda: not loop.is_attached(), f"{loop.node} is free")
    return {bytes([value]) for value in set(image.read_bytes())}


def _clear(loop: Attachment) -> None:
    clear_as_only_opener(loop.held)
    loop.close()


def _is_lost_once(image: Path, write: Callable[[Attachment], None], kept: set[bytes]) -> bool:
    """Whether data was lost in one of some tries: a `sync` of a stranger may come in between and save it."""
    return any(_content_after(image, write) == kept for _ in range(TRIES))


def test_f18_clr_fd_loses_what_is_dirty_in_the_page_cache(tmp_path: Path) -> None:
    """What was written through the only descriptor is lost, all of it, by CLR_FD without fsync."""

    def write(loop: Attachment) -> None:
        _write(loop.held)
        _clear(loop)

    assert _is_lost_once(tmp_path / "image", write, {OLD})


def test_f18_fsync_before_clr_fd_saves_what_was_written_until_then(tmp_path: Path) -> None:
    """After an fsync CLR_FD loses nothing."""

    def write(loop: Attachment) -> None:
        _write(loop.held)
        os.fsync(loop.held)
        _clear(loop)

    assert _content_after(tmp_path / "image", write) == {NEW}


def test_f18_what_is_written_between_fsync_and_clr_fd_is_lost(tmp_path: Path) -> None:
    """A write between the fsync and CLR_FD is lost like one without any."""

    def write(loop: Attachment) -> None:
        _write(loop.held)
        os.fsync(loop.held)
        _write(loop.held, b"C")
        _clear(loop)

    assert _is_lost_once(tmp_path / "image", write, {NEW})


def test_f18_after_clr_fd_a_write_succeeds_and_its_fsync_is_eio(tmp_path: Path) -> None:
    """In rundown write(2) still succeeds, into the page cache alone; the fsync after it is EIO."""
    require_rundown()

    def write(loop: Attachment) -> None:
        clear_as_only_opener(loop.held)
        _write(loop.held)
        with fails_with(errno.EIO):
            os.fsync(loop.held)
        loop.close()

    assert _content_after(tmp_path / "image", write) == {OLD}


def test_f18_autoclear_and_the_last_close_lose_nothing(tmp_path: Path) -> None:
    """The last close of an AUTOCLEAR device writes back what is dirty, then detaches."""

    def write(loop: Attachment) -> None:
        _write(loop.held)
        loop.close()

    assert _content_after(tmp_path / "image", write, Status(flags=Flag.AUTOCLEAR)) == {NEW}


def test_f45_a_second_plain_descriptor_at_clr_fd_saves_the_data(tmp_path: Path) -> None:
    """With a second plain descriptor open CLR_FD is deferred, and the last close writes back before it detaches."""

    def write(loop: Attachment) -> None:
        _write(loop.held)
        with opened(loop.node):
            rawloop.clear(loop.held)
            loop.close()

    assert _content_after(tmp_path / "image", write) == {NEW}


def test_f42_fsync_on_a_read_only_descriptor_flushes_what_another_one_wrote(tmp_path: Path) -> None:
    """Fsync on a read-only descriptor of the device writes back what came through any other descriptor."""
    image = filled(tmp_path / "image", OLD, size_bytes=SIZE_BYTES)
    with attach(image, writable=True) as loop, opened(loop.node, os.O_RDONLY) as reader:
        _write(loop.held)
        os.fsync(reader)
        assert image.read_bytes() == NEW * SIZE_BYTES


@contextmanager
def _sparse_image_on_a_full_file_system(tmp_path: Path, *, free_kib: int) -> Iterator[Path]:
    with mounted("none", tmp_path / "tmpfs", "-t", "tmpfs", "-o", "size=1m,huge=never") as folder:
        image = filled(folder / "image", size_bytes=0)
        os.truncate(image, 4 * SIZE_BYTES)
        filled(folder / "filler", size_bytes=(1024 - free_kib) * 1024)
        yield image


def test_f18_a_failed_flush_is_reported_once_to_each_open_descriptor(tmp_path: Path) -> None:
    """Each descriptor that was open says EIO at its first fsync and success at its second; later ones say nothing."""
    with (
        _sparse_image_on_a_full_file_system(tmp_path, free_kib=64) as image,
        attach(image, writable=True) as loop,
        opened(loop.node, os.O_RDONLY) as reader,
    ):
        _write(loop.held)
        for fd in (reader, loop.held):
            with fails_with(errno.EIO):
                os.fsync(fd)
            os.fsync(fd)
        with opened(loop.node) as late:
            os.fsync(late)


@contextmanager
def suppress_eio() -> Iterator[None]:
    """Let EIO pass, and nothing else."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@pytest.mark.parametrize("direct", [False, True])
def test_f18_a_short_write_to_the_image_passes_for_success(tmp_path: Path, *, direct: bool) -> None:
    """A request whose first part fits on a full file system succeeds, fsync included, and its rest is lost.

    Or it is EIO, at the fsync or at once: how it is told depends on the kernel.
    """
    page, mode = mmap.PAGESIZE, os.O_RDWR | (os.O_DIRECT if direct else 0)
    with _sparse_image_on_a_full_file_system(tmp_path, free_kib=5 * page // 1024) as image:
        loops = attach(image, writable=True)
        with loops as loop, opened(loop.node, mode) as fd, mmap.mmap(-1, 16 * page) as data:
            data.write(NEW * len(data))
            with suppress_eio():
                assert os.pwritev(fd, [data], 0) == len(data)
                os.fsync(fd)
        assert 0 < image.read_bytes().count(NEW) <= 5 * page  # a page less where another is counted for it
