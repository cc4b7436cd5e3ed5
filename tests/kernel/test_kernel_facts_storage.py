"""Facts about an image whose file server does not answer: what hangs, what does not, what SIGKILL ends.

The server is a FUSE one that SIGSTOP stops. Whatever may hang runs in a child. No test says how long a call
takes: each child that is watched hanging must also come back, with its answer or dead, once the server goes on.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import HANG_SECONDS, Child
from tests.support.features import has_rundown
from tests.support.fuse import FuseServer, fuse
from tests.support.rawloop import Attachment, attach, clear_as_only_opener, opened
from tests.support.rig import filled, hidden_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE_BYTES = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FuseServer]:
    """A FUSE server of our own."""
    with fuse(tmp_path) as running:
        yield running


@pytest.fixture
def loop(server: FuseServer, tmp_path: Path) -> Iterator[Attachment]:
    """A read-only device whose image nobody has read yet."""
    with _attached(server, tmp_path / "node", writable=False) as attachment:
        yield attachment


@pytest.fixture
def writable(server: FuseServer, tmp_path: Path) -> Iterator[Attachment]:
    """A writable device."""
    with _attached(server, tmp_path / "node", writable=True) as attachment:
        yield attachment


@contextmanager
def _attached(server: FuseServer, node: Path, *, writable: bool) -> Iterator[Attachment]:
    # Hidden, so that a tool of others that asks each device for its status neither hangs here nor holds it open.
    image = filled(server.folder / "image", size_bytes=SIZE_BYTES)
    with (
        hidden_number(node) as number,
        attach(image, number=number, private_node=node, writable=writable) as attachment,
    ):
        with opened(node):  # on 6.1 the first open writes back what is dirty (F60): it is not the one that is watched
            pass
        yield attachment


def _read(loop: Attachment) -> int | None:
    with opened(loop.node) as fd:
        return len(os.pread(fd, 4096, SIZE_BYTES // 2))


def _seq(loop: Attachment) -> int | None:
    with opened(loop.node) as fd:
        return rawloop.diskseq(fd)


def _claimed_seq(loop: Attachment) -> int | None:
    with opened(loop.node, os.O_RDONLY | os.O_EXCL) as fd:
        return rawloop.diskseq(fd)


def _inode(loop: Attachment) -> int:
    with opened(loop.node) as fd:
        return rawloop.get_status(fd).inode


def _set_same_status(loop: Attachment, status: rawloop.Status) -> None:
    with opened(loop.node) as fd:
        rawloop.set_status(fd, status)


def _are_stuck(*watched: Child) -> bool:
    time.sleep(HANG_SECONDS)
    return all(child.words(0) is None for child in watched)


def _is_killable(child: Child) -> bool:
    os.kill(child.pid, signal.SIGKILL)
    rawloop.wait_until(lambda: not child.is_running(), "SIGKILL ends it")
    return True


def _stuck(child: Child) -> Child:
    rawloop.wait_until(child.is_stuck_in_kernel, "it is stuck in the kernel")
    return child


def test_f21_stat_readdir_status_and_read_hang_until_the_server_answers(server: FuseServer, loop: Attachment) -> None:
    """With the server stopped stat and readdir of the path, GET_STATUS64 and reads of the device hang."""
    image = server.folder / "image"
    inode = image.stat().st_ino
    with server.stopped() as start:
        hanging = [
            (start(lambda: image.stat().st_ino), inode),
            (start(lambda: [path.name for path in server.folder.iterdir()]), ["image"]),
            (start(lambda: _inode(loop)), inode),
            (_stuck(start(lambda: _read(loop))), 4096),
        ]
        assert _are_stuck(*[child for child, _ in hanging])
        server.go_on()
        assert [child.words() for child, _ in hanging] == [repr(answer) for _, answer in hanging]


def test_f21_sysfs_diskseq_and_the_claim_answer(server: FuseServer, loop: Attachment) -> None:
    """With the server stopped sysfs, BLKGETDISKSEQ and the O_EXCL probe of an idle device answer."""
    with server.stopped() as start:
        assert start(loop.is_attached).words() == "True"
        assert start(lambda: rawloop.backing_file(loop.number)).words() == repr(os.fsencode(server.folder / "image"))
        assert start(lambda: _seq(loop)).words() == repr(loop.diskseq)
        assert start(lambda: _claimed_seq(loop)).words() == repr(loop.diskseq)


def _asks_the_server(setter: Child) -> bool:
    """Whether a SET_STATUS64 hangs because the kernel asks the server for its block size."""

    def is_decided() -> bool:
        return setter.words(0) is not None or "statfs" in setter.stack()

    with suppress(AssertionError):
        rawloop.wait_until(is_decided, "SET_STATUS64 answers, or asks")
    assert is_decided(), setter.stack()
    return setter.words(0) is None


def test_f21_set_status_of_an_idle_device_answers(server: FuseServer, loop: Attachment) -> None:
    """With the server stopped SET_STATUS64 of an idle device works, unless the kernel asks the server in it."""
    status = rawloop.get_status(loop.held)
    with server.stopped() as start:
        setter = start(lambda: _set_same_status(loop, status))
        if _asks_the_server(setter):
            pytest.skip("this kernel asks the server for its block size in SET_STATUS64")
        assert setter.words() == "None"


def test_f21_clr_fd_of_an_idle_device_answers(server: FuseServer, loop: Attachment) -> None:
    """With the server stopped CLR_FD of an idle device works, and the close after it frees it."""

    def clear() -> None:
        with opened(loop.node, os.O_RDONLY | os.O_EXCL) as fd:
            clear_as_only_opener(fd)

    loop.close()
    with server.stopped() as start:
        assert start(clear).words() == "None"
        rawloop.wait_until(lambda: not loop.is_attached(), "the device is free")


def test_f21_sigkill_ends_waiters_whose_request_the_server_has_not_taken(server: FuseServer, loop: Attachment) -> None:
    """SIGKILL ends a stat or GET_STATUS64 whose request nobody took, and a reader who is not the last opener."""
    image = server.folder / "image"
    with server.stopped() as start:
        hanging = [start(image.stat), start(lambda: _inode(loop)), _stuck(start(lambda: _read(loop)))]
        assert _are_stuck(*hanging)
        assert all(_is_killable(child) for child in hanging)


def test_f50_a_killed_reader_that_was_the_last_opener_blocks_every_open(server: FuseServer, loop: Attachment) -> None:
    """A reader whose last close waits for its read blocks each open of the node beyond SIGKILL; sysfs answers."""
    loop.close()
    with server.stopped() as start:
        assert _stuck(start(lambda: _read(loop))).survives(signal.SIGKILL)
        assert _stuck(start(lambda: _claimed_seq(loop))).survives(signal.SIGKILL)
        assert start(loop.is_attached).words() == "True"


def test_f51_set_status_waits_for_what_is_in_flight_beyond_sigkill(server: FuseServer, loop: Attachment) -> None:
    """SET_STATUS64 waits for requests under way, beyond SIGKILL; where an open takes its lock, opens hang too."""
    status = rawloop.get_status(loop.held)
    opens_wait = has_rundown()  # both came with 18048c1af783
    with server.stopped() as start:
        _stuck(start(lambda: _read(loop)))
        assert _stuck(start(lambda: _set_same_status(loop, status))).survives(signal.SIGKILL)
        opener = start(lambda: _seq(loop))
        assert _are_stuck(opener) or not opens_wait
        assert start(loop.is_attached).words() == "True"


def test_f52_fsync_of_a_dirty_device_hangs_beyond_sigkill(server: FuseServer, writable: Attachment) -> None:
    """The fsync of a dirty device hangs beyond SIGKILL; opens, BLKGETDISKSEQ and sysfs answer."""
    fd = writable.held
    os.pwrite(fd, b"B" * 4096, 0)
    with server.stopped() as start:
        assert _stuck(start(lambda: os.fsync(fd), keep=(fd,))).survives(signal.SIGKILL)
        assert start(lambda: _claimed_seq(writable)).words() == repr(writable.diskseq)
        assert start(writable.is_attached).words() == "True"


def test_f52_the_last_close_of_a_dirty_device_hangs_beyond_sigkill(server: FuseServer, writable: Attachment) -> None:
    """The last close of a dirty device hangs beyond SIGKILL; opens, BLKGETDISKSEQ and sysfs answer."""

    def write_and_close() -> None:
        with opened(writable.node, os.O_RDWR) as fd:
            os.pwrite(fd, b"B" * 4096, 0)

    writable.close()
    with server.stopped() as start:
        assert _stuck(start(write_and_close)).survives(signal.SIGKILL)
        assert start(lambda: _claimed_seq(writable)).words() == repr(writable.diskseq)
        assert start(writable.is_attached).words() == "True"
