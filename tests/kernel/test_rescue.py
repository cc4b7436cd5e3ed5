"""Rescues on the real kernel: killed, out of room, with a writer, and with a device that changes under them."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, RescueError
from ntt_loops._kernel import new_names
from tests.support import oracle, rawloop
from tests.support.features import require_missing_data_told
from tests.support.forked import forks
from tests.support.fuse import fuse
from tests.support.images import make_image
from tests.support.media import Attached, by_losetup, is_bound, new_image
from tests.support.rig import filled, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

SIZE_BYTES = 4 * 65536


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of its own."""
    return Loops(tmp_path / "run")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image without zeros."""
    return new_image(tmp_path, size_bytes=SIZE_BYTES)


@pytest.fixture
def device(image: Path) -> Iterator[Attached]:
    """A device of it by losetup; nothing else has it any more."""
    made = by_losetup(image)
    image.unlink()
    yield made
    if is_bound(made):
        oracle.losetup_detach(made)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where it is to come back to."""
    (tmp_path / "back").mkdir()
    return tmp_path / "back" / "again.img"


def at(reading: int, act: Callable[[], object]) -> Callable[[int, int], None]:
    """Do something at the end of one of the three readings."""

    def told(done: int, total: int) -> None:
        if done * 3 == total * reading:
            act()

    return told


def refusal(loops: Loops, device: str, file: Path, progress: Callable[[int, int], object] | None = None) -> RescueError:
    """Have a rescue fail, with nothing left in the folder."""
    with pytest.raises(RescueError) as caught:
        loops.rescue(device, file, progress=progress)
    assert [one.name for one in file.parent.iterdir() if one.name != "lost+found"] == []
    return caught.value


def test_it_comes_back_and_the_device_is_as_it_was(loops: Loops, tmp_path: Path, file: Path) -> None:
    """A file system, mounted meanwhile: the same bytes, none of them changed in the image that is deleted."""
    image = make_image(tmp_path / "fs.img", files={"letter.txt": b"dear reader\n"})
    digest = oracle.sha256(image)
    device = by_losetup(image)
    with image.open("rb") as kept:
        image.unlink()
        with mounted(device, tmp_path / "mnt", "-o", "ro,noload"):
            assert loops.rescue(device, file).sha256 == digest
        assert hashlib.file_digest(kept, "sha256").hexdigest() == digest
    assert oracle.sha256(file) == digest
    assert is_bound(device)
    with mounted(file, tmp_path / "mnt", "-o", "loop,ro,noload") as folder:
        assert (folder / "letter.txt").read_bytes() == b"dear reader\n"
    oracle.losetup_detach(device)


@pytest.mark.parametrize("reading", [1, 2, 3])
def test_a_copy_that_is_killed_leaves_nothing(loops: Loops, device: Attached, file: Path, reading: int) -> None:
    """Not even a half file: it has no name yet. The device stays, and the next rescue works."""
    with forks() as start:
        child = start(lambda say: loops.rescue(device, file, progress=at(reading, lambda: _stop(say))))
        assert child.hear() == "there"
        child.kill()
        child.wait()
    assert list(file.parent.iterdir()) == []
    assert is_bound(device)
    assert loops.rescue(device, file).size_bytes == SIZE_BYTES


def _stop(say: Callable[[object], None]) -> None:
    say("there")
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_full_disk_leaves_nothing(loops: Loops, device: Attached, tmp_path: Path) -> None:
    """It says so, and that the device still has it; holes take no room."""
    with mounted("none", tmp_path / "small", "-t", "tmpfs", "-o", "size=128k") as folder:
        error = refusal(loops, device, folder / "again.img")
        assert (error.errno, "free some room" in str(error)) == (errno.ENOSPC, True)
        assert oracle.run("df", "--output=used", folder).split()[-1] == "0"
        empty = new_image(tmp_path)
        os.truncate(empty, 0)
        os.truncate(empty, 2**20)
        hollow = by_losetup(empty)
        empty.unlink()
        assert loops.rescue(hollow, folder / "empty.img").hole_bytes == 2**20
        oracle.losetup_detach(hollow)
    assert is_bound(device)


def test_a_writer_is_noticed(loops: Loops, tmp_path: Path, file: Path) -> None:
    """What was read twice differs: no copy is better than one that never was."""
    image = new_image(tmp_path, size_bytes=SIZE_BYTES)
    device = by_losetup(image, "--")
    image.unlink()

    def write() -> None:
        with rawloop.opened(device, os.O_WRONLY) as number:
            os.pwrite(number, b"changed", 4096)

    error = refusal(loops, device, file, at(1, write))
    assert (error.errno, "somebody writes" in str(error)) == (errno.EBUSY, True)
    with rawloop.opened(device, os.O_RDWR):
        (holder,) = loops.rescue(device, file).holders
    assert holder.pid == os.getpid()
    assert file.read_bytes()[4096:4103] == b"changed"
    oracle.losetup_detach(device)


def test_a_device_that_gets_another_image_is_noticed(
    loops: Loops, device: Attached, tmp_path: Path, file: Path
) -> None:
    """Though the bytes be the same: LOOP_CHANGE_FD makes it another attachment."""
    other = filled(tmp_path / "other.img", size_bytes=SIZE_BYTES)

    def change() -> None:
        with rawloop.opened(device) as number, rawloop.opened(other) as image:
            rawloop.change_fd(number, image)

    error = refusal(loops, device, file, at(3, change))
    assert (error.errno, "another attachment" in str(error)) == (errno.ESTALE, True)
    oracle.losetup_detach(device)
    rawloop.wait_until(lambda: oracle.bound_devices(other) == [], "nothing is left of it")


def test_the_number_is_nobody_elses_while_it_is_read(loops: Loops, device: Attached, file: Path) -> None:
    """A detach by somebody else meanwhile is put off until the copy is there."""
    report = loops.rescue(device, file, progress=at(1, lambda: oracle.losetup_detach(device)))
    assert (report.size_bytes, file.stat().st_size) == (SIZE_BYTES, SIZE_BYTES)
    rawloop.wait_until(lambda: not is_bound(device), "it goes with its last user")


def test_what_cannot_be_read_is_named(loops: Loops, tmp_path: Path, file: Path) -> None:
    """By its place, and with the tool for what is broken."""
    require_missing_data_told()
    image = new_image(tmp_path, size_bytes=SIZE_BYTES)
    device = by_losetup(image)
    os.truncate(image, 65536)
    image.unlink()
    oracle.run("blockdev", "--flushbufs", device)  # udev may have read it before
    error = refusal(loops, device, file)
    assert error.errno == errno.EIO
    assert "cannot be read at byte 65536: " in str(error)
    assert "ddrescue" in str(error)
    oracle.losetup_detach(device)


def test_it_may_not_lie_on_its_own_source(loops: Loops, tmp_path: Path) -> None:
    """A copy onto what is mounted from the device would write to it."""
    image = make_image(tmp_path / "fs.img")
    device = by_losetup(image, "--")
    with mounted(device, tmp_path / "mnt") as folder:
        image.unlink()
        error = refusal(loops, device, folder / "again.img")
    assert (error.errno, "mounted from it" in str(error)) == (errno.EINVAL, True)
    oracle.losetup_detach(device)


def test_a_file_system_without_unnamed_files_will_do(loops: Loops, device: Attached, tmp_path: Path) -> None:
    """FUSE: the copy has a name of its own until it is whole, which an interrupt takes away."""
    with fuse(tmp_path) as server:

        def interrupt() -> None:
            (name,) = [one.name for one in server.folder.iterdir()]
            assert name.startswith(".ntt-loops-rescue-")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loops.rescue(device, server.folder / "again.img", progress=at(2, interrupt))
        assert list(server.folder.iterdir()) == []
        loops.rescue(device, server.folder / "again.img")
        assert [one.name for one in server.folder.iterdir()] == ["again.img"]
        (server.folder / "again.img").unlink()
        taken = server.folder / "again.img"
        with pytest.raises(RescueError, match="come to be"):
            loops.rescue(device, taken, progress=at(3, lambda: taken.write_bytes(b"precious")))
        assert ([one.name for one in server.folder.iterdir()], taken.read_bytes()) == (["again.img"], b"precious")


def test_a_file_system_without_links_will_do(tmp_path: Path, mocker: MockerFixture) -> None:
    """Vfat: the name is given by renameat2(2), and not where it is taken."""
    mocker.patch.object(os, "link", side_effect=PermissionError(errno.EPERM, "no links here"))
    old, new = filled(tmp_path / "old"), tmp_path / "new"
    new_names.rename_new(str(old), str(new))
    assert (old.exists(), new.exists()) == (False, True)
    with pytest.raises(FileExistsError):
        new_names.rename_new(str(filled(old, b"B")), str(new))
    assert new.read_bytes()[:1] == b"A"
