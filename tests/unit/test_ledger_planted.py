"""What somebody put in a ledger file's place is refused: not followed, not read, not written, not waited for."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel
from tests.support.guard import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = Deadline(0.0)
NOBODY = 65534
MEDIUM = "536a"
RECORD = Record(
    number=1,
    diskseq=41,
    nonce="07be1a",
    image=b"/data/536a.img",
    dev=2049,
    inode=131,
    offset_bytes=0,
    size_limit_bytes=0,
    lifetime="kept",
    owner=None,
    time=1.75e9,
    uptime=4242.5,
)


def plant_symlink(path: Path, text: bytes) -> None:
    """Let it lead to a good file outside."""
    target = path.parent.parent / "target"
    target.write_bytes(text)
    target.chmod(0o600)
    path.symlink_to(target)


def plant_dangling_symlink(path: Path, _: bytes) -> None:
    """Let it lead to where nothing is yet."""
    path.symlink_to(path.parent.parent / "target")


def plant_hard_link(path: Path, text: bytes) -> None:
    """Give a good file a second name."""
    target = path.parent.parent / "target"
    target.write_bytes(text)
    target.chmod(0o600)
    path.hardlink_to(target)


def plant_fifo(path: Path, _: bytes) -> None:
    """Opened without O_NONBLOCK it would wait for somebody at its other end."""
    os.mkfifo(path, 0o600)


def plant_socket(path: Path, _: bytes) -> None:
    """It cannot be opened at all."""
    place = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{place}/{path.name}")  # an address has 108 bytes
    finally:
        os.close(place)


def plant_folder(path: Path, _: bytes) -> None:
    """It can be opened, but not read."""
    path.mkdir(mode=0o700)


def plant_group_writable(path: Path, text: bytes) -> None:
    """Others can have written it."""
    path.write_bytes(text)
    path.chmod(0o620)


def plant_world_writable(path: Path, text: bytes) -> None:
    """Everybody can have written it."""
    path.write_bytes(text)
    path.chmod(0o606)


def plant_another_owner(path: Path, text: bytes) -> None:
    """Its owner can write to it at any time."""
    path.write_bytes(text)
    path.chmod(0o600)
    os.chown(path, NOBODY, -1)


PLANTED = [
    plant_symlink,
    plant_dangling_symlink,
    plant_hard_link,
    plant_fifo,
    plant_socket,
    plant_folder,
    plant_group_writable,
    plant_world_writable,
    pytest.param(plant_another_owner, marks=pytest.mark.kernel),
]


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def ledger(tmp_path: Path, kernel: MemoryKernel) -> Ledger:
    """A ledger with one record of the medium."""
    made = Ledger(tmp_path / "run", kernel)
    with made.locked(MEDIUM, NOW) as book:
        book.add(RECORD)
    return made


@pytest.fixture(params=PLANTED)
def planted(request: pytest.FixtureRequest, ledger: Ledger) -> Path:
    """The medium's file, taken away and something else put in its place."""
    path = ledger.run_dir / f"{MEDIUM}.jsonl"
    text = path.read_bytes()
    path.unlink()
    plant: Callable[[Path, bytes], None] = request.param
    plant(path, text)
    return path


def state(path: Path) -> tuple[object, ...]:
    """Return what must not change of a planted thing and of what it leads to."""
    found = path.lstat()
    target = path.parent.parent / "target"
    return found.st_mode, found.st_uid, found.st_ino, target.read_bytes() if target.exists() else None


def test_it_is_not_opened_for_a_change(ledger: Ledger, planted: Path) -> None:
    """Opening it is a LedgerError that names the file, loses no descriptor, and leaves it and its target alone."""
    before, numbers, descriptors = state(planted), open_numbers(), open_descriptors()
    with pytest.raises(LedgerError, match=f"{MEDIUM}.jsonl") as caught:
        ledger.locked(MEDIUM, NOW)
    assert caught.value.path == planted
    assert open_numbers() == numbers
    assert open_descriptors() == descriptors
    assert state(planted) == before


def test_it_is_not_believed_by_a_reader(ledger: Ledger, planted: Path) -> None:
    """A look without the lock finds no record in it, one with the lock is LedgerError."""
    before, numbers = state(planted), open_numbers()
    assert ledger.peek(MEDIUM) == ()
    with pytest.raises(LedgerError):
        ledger.locked_for_reading(MEDIUM, NOW)
    assert open_numbers() == numbers
    assert state(planted) == before


def test_nothing_is_attached_with_it(ledger: Ledger, kernel: MemoryKernel, planted: Path, tmp_path: Path) -> None:
    """Without a record there is no attachment: attach is LedgerError, and no device is left."""
    image = tmp_path / f"{MEDIUM}.img"
    image.write_bytes(bytes(4096))
    loops = Loops(ledger.run_dir, kernel)
    with pytest.raises(LedgerError):
        loops.attach_kept(image)
    with pytest.raises(LedgerError):
        loops.attached(image).__enter__()
    assert kernel.bound_numbers() == []
    assert planted.lstat()


def test_devices_are_released_all_the_same(tmp_path: Path, kernel: MemoryKernel, planted: Path) -> None:
    """release_all finds the devices by their tags, and its report names the file."""
    image = tmp_path / f"{MEDIUM}.img"
    image.write_bytes(bytes(4096))
    loops = Loops(planted.parent, kernel)
    aside = planted.rename(tmp_path / "aside")
    loops.attach_kept(image)
    (planted.parent / planted.name).unlink()
    aside.rename(planted)
    report = loops.release_all(MEDIUM)
    assert [one.found_by for one in report.released] == ["tag"]
    assert any(str(planted) in problem for problem in report.problems)
    assert kernel.bound_numbers() == []


def test_a_file_that_others_can_read_is_used(ledger: Ledger) -> None:
    """Who can read cannot forge: 0644 is no reason to refuse."""
    (ledger.run_dir / f"{MEDIUM}.jsonl").chmod(0o644)
    with ledger.locked(MEDIUM, NOW) as book:
        book.add(attrs.evolve(RECORD, number=2))
    assert [record.number for record in ledger.peek(MEDIUM)] == [1, 2]


def test_a_file_that_cannot_be_opened_is_a_ledger_error(ledger: Ledger) -> None:
    """What open(2) refuses, here a symlink to itself, is LedgerError with its errno."""
    (ledger.run_dir / f"{MEDIUM}.jsonl").unlink()
    (ledger.run_dir / f"{MEDIUM}.jsonl").symlink_to(f"{MEDIUM}.jsonl")
    with pytest.raises(LedgerError) as caught:
        ledger.locked(MEDIUM, NOW)
    assert caught.value.errno == errno.ELOOP
