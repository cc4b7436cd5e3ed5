"""The lock of a medium's ledger file."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import LedgerError
from ntt_loops._backoff import Deadline
from ntt_loops._kernel import flock
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_mock import MockerFixture

NOW = Deadline(0.0)
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


class EventfulClock:
    """Time that passes only in pauses; something happens in the third one."""

    def __init__(self, event: Callable[[], object]) -> None:
        self.now = 0.0
        self.pauses = 0
        self._event = event

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Do not wait."""
        self.now += seconds
        self.pauses += 1
        if self.pauses == 3:
            self._event()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with one record."""
    made = Ledger(tmp_path / "run", MemoryKernel())
    with made.locked(MEDIUM, NOW) as book:
        book.add(RECORD)
    return made


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """The medium's file."""
    return ledger.run_dir / f"{MEDIUM}.jsonl"


def is_locked(path: Path) -> bool:
    """Whether somebody has the lock, asked without the library."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_two_books_of_one_medium_exclude_each_other(ledger: Ledger, path: Path) -> None:
    """While one has the file nobody else gets it, and nobody's error takes the lock away."""
    with ledger.locked(MEDIUM, NOW):
        for _ in range(2):
            with pytest.raises(LedgerError):
                ledger.locked(MEDIUM, NOW)
            assert is_locked(path)
    assert not is_locked(path)
    ledger.locked(MEDIUM, NOW).close()


def test_a_reader_under_the_lock_excludes_and_is_excluded(ledger: Ledger) -> None:
    """A dry run waits for a writer, and a writer for it."""
    with ledger.locked_for_reading(MEDIUM, NOW), pytest.raises(LedgerError):
        ledger.locked(MEDIUM, NOW)
    with ledger.locked(MEDIUM, NOW), pytest.raises(LedgerError):
        ledger.locked_for_reading(MEDIUM, NOW)


def test_other_media_are_not_locked(ledger: Ledger) -> None:
    """The lock is one medium's: a stuck one never stops the others."""
    with ledger.locked(MEDIUM, NOW), ledger.locked("another", NOW) as book:
        book.add(RECORD)
    assert ledger.peek("another") == (RECORD,)


def test_a_lock_that_is_not_let_go_is_an_error_that_says_so(ledger: Ledger, path: Path) -> None:
    """At the deadline it is LedgerError EAGAIN with medium and file, and no descriptor stays open."""
    clock = EventfulClock(lambda: None)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        before = open_numbers()
        with pytest.raises(LedgerError, match="locked by another process; try again") as caught:
            ledger.locked(MEDIUM, Deadline.after(2.0, clock))
        assert open_numbers() == before
    assert (caught.value.errno, caught.value.medium, caught.value.path) == (errno.EAGAIN, MEDIUM, path)
    assert clock.now == pytest.approx(2.0)


def test_a_lock_that_is_let_go_in_time_is_waited_for(ledger: Ledger) -> None:
    """Who waits gets the lock once the other one closes, and sees what that one wrote."""
    first = ledger.locked(MEDIUM, NOW)
    newer = attrs.evolve(RECORD, number=2)

    def finish() -> None:
        first.add(newer)
        first.close()

    with ledger.locked(MEDIUM, Deadline.after(10.0, EventfulClock(finish))) as book:
        assert set(book.entries) == {RECORD.key, newer.key}


def test_a_file_that_went_while_it_was_waited_for_is_made_anew(ledger: Ledger, path: Path) -> None:
    """Who gets the lock of a file that its last holder removed writes a new file, not into the void."""
    first = ledger.locked(MEDIUM, NOW)

    def finish() -> None:
        first.remove(RECORD.key)
        first.close()
        assert not path.exists()

    with ledger.locked(MEDIUM, Deadline.after(10.0, EventfulClock(finish))) as book:
        assert book.entries == {}
        book.add(RECORD)
    assert ledger.peek(MEDIUM) == (RECORD,)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_lock_counts_only_on_the_file_of_that_name(
    ledger: Ledger, path: Path, mocker: MockerFixture, *, replaced: bool
) -> None:
    """Removed or replaced between open and flock, the file that was opened is let go for the one that is there."""
    text = path.read_bytes()
    locked: list[int] = []

    def lock_too_late(descriptor: int) -> bool:
        if not locked:
            path.unlink()
            if replaced:
                path.write_bytes(text + b"torn")
                path.chmod(0o600)
        locked.append(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    mocker.patch.object(flock, "try_lock", lock_too_late)
    with ledger.locked(MEDIUM, Deadline.after(10.0, EventfulClock(lambda: None))) as book:
        assert len(locked) == 2
        assert path.read_bytes() == (text + b"torn" if replaced else b"")
        assert list(book.entries) == ([RECORD.key] if replaced else [])
        assert is_locked(path)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_was_removed_by_hand_under_the_lock_is_let_go(
    ledger: Ledger, path: Path, *, replaced: bool
) -> None:
    """The holder's last removal is no error then, and takes no file that somebody else has made since."""
    with ledger.locked(MEDIUM, NOW) as book:
        path.unlink()
        if replaced:
            with ledger.locked(MEDIUM, NOW) as other:
                other.add(RECORD)
        book.remove(RECORD.key)
    assert ledger.peek(MEDIUM) == ((RECORD,) if replaced else ())


def test_the_lock_is_let_go_though_somebody_has_the_descriptor(ledger: Ledger, path: Path) -> None:
    """A forked child that shares the open file does not keep the lock: LOCK_UN frees it, not the close."""
    book = ledger.locked(MEDIUM, NOW)
    copy = os.dup(book._file.fileno())
    try:
        book.close()
        assert not is_locked(path)
    finally:
        os.close(copy)


def test_a_file_that_cannot_be_read_back_is_neither_open_nor_locked(
    ledger: Ledger, path: Path, mocker: MockerFixture
) -> None:
    """An error after the lock closes the file."""
    mocker.patch("ntt_loops._ledger.book.os.pread", side_effect=OSError(errno.EIO, "Input/output error"))
    before = open_numbers()
    with pytest.raises(OSError, match="Input/output error"):
        ledger.locked(MEDIUM, NOW)
    assert open_numbers() == before
    assert not is_locked(path)


def test_a_reader_under_the_lock_changes_nothing(ledger: Ledger, path: Path) -> None:
    """Opened for reading, a file stays as it is to the byte: torn, of another boot, or without an entry."""
    with pytest.raises(FileNotFoundError):
        ledger.locked_for_reading("another", NOW)
    for text in (path.read_bytes() + b"torn", b"", b"corrupt\n", path.read_bytes().replace(b"boot_id", b"boots_id")):
        path.write_bytes(text)
        with ledger.locked_for_reading(MEDIUM, NOW) as book, pytest.raises(LedgerError):
            book.add(RECORD)
        assert path.read_bytes() == text
    assert [entry.name for entry in ledger.run_dir.iterdir()] == [path.name]
