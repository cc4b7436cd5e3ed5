"""A ledger file does not grow without bound while something stays on record."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops._backoff import Deadline
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

NOW = Deadline(0.0)
MEDIUM = "536a"
#: By the design a file is written anew beyond this many lines.
MANY_LINES = 512
STAYING = Record(
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
PASSING = attrs.evolve(STAYING, number=2)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with one record."""
    made = Ledger(tmp_path / "run", MemoryKernel())
    with made.locked(MEDIUM, NOW) as book:
        book.add(STAYING)
    return made


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """The medium's file."""
    return ledger.run_dir / f"{MEDIUM}.jsonl"


def come_and_go(ledger: Ledger, times: int) -> None:
    """Attach and detach a device over and over, under one lock."""
    with ledger.locked(MEDIUM, NOW) as book:
        for _ in range(times):
            book.add(PASSING)
            book.remove(PASSING.key)


def test_past_events_go_and_the_entry_stays(ledger: Ledger, path: Path) -> None:
    """After thousands of events the file is small again, private, alone in its folder, and says the same."""
    sizes = []
    for _ in range(20):
        come_and_go(ledger, 100)
        sizes.append(path.read_bytes().count(b"\n"))
    assert max(sizes) <= MANY_LINES + 2 * 100
    assert min(sizes[10:]) < MANY_LINES // 2
    assert ledger.peek(MEDIUM) == (STAYING,)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert [entry.name for entry in ledger.run_dir.iterdir()] == [path.name]


def test_a_file_that_was_written_anew_takes_the_next_record(ledger: Ledger) -> None:
    """Appending goes on where the rewriting left off."""
    come_and_go(ledger, MANY_LINES)
    with ledger.locked(MEDIUM, NOW) as book:
        book.add(PASSING)
    assert ledger.peek(MEDIUM) == (STAYING, PASSING)
    with ledger.locked(MEDIUM, NOW) as book:
        book.remove(PASSING.key)
        book.remove(STAYING.key)
    assert list(ledger.run_dir.iterdir()) == []


def test_who_waited_for_the_old_file_finds_the_new_one(ledger: Ledger, path: Path) -> None:
    """The replacement is another inode, which the next holder notices: its record is not lost in the old file."""
    inode = path.stat().st_ino
    first = ledger.locked(MEDIUM, NOW)
    for _ in range(MANY_LINES):
        first.add(PASSING)
        first.remove(PASSING.key)

    class Clock:
        def monotonic(self) -> float:
            return 0.0

        def sleep(self, _: float) -> None:
            first.close()

    with ledger.locked(MEDIUM, Deadline.after(1.0, Clock())) as second:
        assert path.stat().st_ino != inode
        second.add(PASSING)
    assert ledger.peek(MEDIUM) == (STAYING, PASSING)


def test_a_file_of_many_entries_is_not_rewritten_at_every_close(ledger: Ledger, path: Path) -> None:
    """Long because much is attached is no reason: a file is rewritten when most of it is past."""
    with ledger.locked(MEDIUM, NOW) as book:
        for number in range(2, MANY_LINES + 100):
            book.add(attrs.evolve(STAYING, number=number))
    inode = path.stat().st_ino
    with ledger.locked(MEDIUM, NOW) as book:
        book.add(attrs.evolve(STAYING, number=1_000_000))
    assert path.stat().st_ino == inode
    assert len(ledger.peek(MEDIUM)) == MANY_LINES + 100


@pytest.mark.parametrize("fails", ["touch", "write_bytes", "replace"])
def test_a_file_that_cannot_be_written_anew_serves_as_it_is(
    ledger: Ledger, path: Path, mocker: MockerFixture, fails: str
) -> None:
    """On a full file system the long file stays, whole, with nothing left beside it."""
    mocker.patch.object(Path, fails, side_effect=OSError(errno.ENOSPC, "No space left on device"))
    come_and_go(ledger, MANY_LINES)
    mocker.stopall()
    assert path.read_bytes().count(b"\n") == 2 + 2 * MANY_LINES
    assert ledger.peek(MEDIUM) == (STAYING,)
    assert [entry.name for entry in ledger.run_dir.iterdir()] == [path.name]


def test_what_an_interrupted_rewriting_left_is_taken_away(ledger: Ledger, path: Path) -> None:
    """A replacement that a killed process left half-written is neither believed nor in the way."""
    left = path.with_name(f"{path.name}.new")
    left.write_bytes(b"half")
    left.chmod(0o666)
    assert ledger.media() == [MEDIUM]
    come_and_go(ledger, MANY_LINES)
    assert not os.path.lexists(left)
    assert ledger.peek(MEDIUM) == (STAYING,)
    assert path.stat().st_mode & 0o7777 == 0o600
