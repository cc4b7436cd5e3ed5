"""A medium's ledger file, changed under its lock."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ntt_loops._backoff import Deadline
from ntt_loops._kernel import Process
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

NOW = Deadline(0.0)
MEDIUM = "536a"
FIRST = Record(
    number=1,
    diskseq=41,
    nonce="07be1a",
    image=b"/data/536a.img",
    dev=2049,
    inode=131,
    offset_bytes=0,
    size_limit_bytes=0,
    lifetime="scoped",
    owner=Process(4711, 99, 4026531836),
    time=1.75e9,
    uptime=4242.5,
)
SECOND, THIRD = (attrs.evolve(FIRST, number=number, diskseq=41 + number) for number in (2, 3))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger folder that is not made yet."""
    return Ledger(tmp_path / "run", MemoryKernel())


def file_of(ledger: Ledger) -> Path:
    """Return the path of the medium's file."""
    return ledger.run_dir / f"{MEDIUM}.jsonl"


def put(ledger: Ledger, *records: Record) -> None:
    """Put attachments on record."""
    with ledger.locked(MEDIUM, NOW) as book:
        for record in records:
            book.add(record)


def lines_of(ledger: Ledger) -> list[Any]:
    """Return the file's lines, read without the library."""
    text = file_of(ledger).read_bytes()
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def entries_of(ledger: Ledger) -> list[Record]:
    """Return what is on record for the next process."""
    return list(ledger.peek(MEDIUM))


def test_what_was_added_is_there_for_the_next_process(ledger: Ledger) -> None:
    """Each added record is one line behind a header, and is an entry at the next opening."""
    put(ledger, FIRST, SECOND)
    head, *events = lines_of(ledger)
    assert head["medium"] == MEDIUM
    assert [(line["event"], line["number"]) for line in events] == [("attached", 1), ("attached", 2)]
    assert entries_of(ledger) == [FIRST, SECOND]
    with ledger.locked(MEDIUM, NOW) as book:
        assert book.entries == {FIRST.key: FIRST, SECOND.key: SECOND}
        assert (book.problem, book.set_aside, book.forgotten) == (None, None, ())


def test_the_file_is_made_for_its_owner_alone(ledger: Ledger) -> None:
    """A ledger file has mode 0600 whatever the umask."""
    before = os.umask(0)
    try:
        put(ledger, FIRST)
    finally:
        os.umask(before)
    assert file_of(ledger).stat().st_mode & 0o7777 == 0o600


def test_the_header_comes_with_the_first_record_in_one_write(ledger: Ledger, mocker: MockerFixture) -> None:
    """One change is one write(2), the first one with its header: no crash leaves a header without its record."""
    with ledger.locked(MEDIUM, NOW) as book:
        write = mocker.spy(os, "write")
        book.add(FIRST)
        assert write.call_count == 1
        assert write.call_args.args[1] == file_of(ledger).read_bytes()
        book.add(SECOND)
        book.disown(FIRST.key)
        book.remove(SECOND.key)
        assert write.call_count == 4
    assert [line.get("event") for line in lines_of(ledger)] == [None, "attached", "attached", "disowned", "detached"]


def test_an_opening_that_records_nothing_leaves_no_file(ledger: Ledger) -> None:
    """A look at a medium that has no ledger makes none."""
    put(ledger)
    assert list(ledger.run_dir.iterdir()) == []


def test_the_file_goes_with_its_last_entry(ledger: Ledger) -> None:
    """The file stays while an entry is left, and the last removal takes it."""
    put(ledger, FIRST, SECOND)
    with ledger.locked(MEDIUM, NOW) as book:
        book.remove(FIRST.key)
    assert entries_of(ledger) == [SECOND]
    with ledger.locked(MEDIUM, NOW) as book:
        book.remove(SECOND.key)
        assert book.entries == {}
    assert list(ledger.run_dir.iterdir()) == []


def test_removing_what_is_not_on_record_changes_nothing(ledger: Ledger) -> None:
    """A second remover writes no line and leaves the others' entries."""
    put(ledger, FIRST)
    before = file_of(ledger).read_bytes()
    with ledger.locked(MEDIUM, NOW) as book:
        book.remove(SECOND.key)
        book.disown(SECOND.key)
    assert file_of(ledger).read_bytes() == before


def test_a_removed_record_does_not_come_back_with_the_next_one(ledger: Ledger) -> None:
    """The last entry removed and another one added under one lock leaves that other one alone."""
    put(ledger, FIRST)
    with ledger.locked(MEDIUM, NOW) as book:
        book.remove(FIRST.key)
        book.add(SECOND)
    assert entries_of(ledger) == [SECOND]


def test_a_disowned_attachment_stays_on_record_without_its_owner(ledger: Ledger) -> None:
    """Who let a device go is no longer its owner, though the device is still there."""
    put(ledger, FIRST, SECOND)
    with ledger.locked(MEDIUM, NOW) as book:
        book.disown(FIRST.key)
        assert book.entries[FIRST.key].owner is None
    assert entries_of(ledger) == [attrs.evolve(FIRST, owner=None), SECOND]


def test_a_change_that_raises_leaves_the_record_and_lets_the_lock_go(ledger: Ledger) -> None:
    """What was written before an error in the block is on record, and the next one can open the file."""

    def interrupted() -> None:
        with ledger.locked(MEDIUM, NOW) as book:
            book.add(FIRST)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert entries_of(ledger) == [FIRST]
    put(ledger, SECOND)
    assert entries_of(ledger) == [FIRST, SECOND]


@pytest.mark.parametrize("torn", [b"{", b'{"event":"attached","number":9', b"\x00" * 5000, b"\xff"], ids=repr)
def test_who_appends_first_cuts_a_torn_tail(ledger: Ledger, torn: bytes) -> None:
    """A line that a crash left unfinished is cut off before the next one, not continued by it."""
    put(ledger, FIRST)
    whole = file_of(ledger).read_bytes()
    file_of(ledger).write_bytes(whole + torn)
    with ledger.locked(MEDIUM, NOW) as book:
        assert list(book.entries) == [FIRST.key]
        assert file_of(ledger).read_bytes() == whole + torn
        book.add(SECOND)
        book.add(THIRD)
    assert file_of(ledger).read_bytes().startswith(whole)
    assert [line.get("number") for line in lines_of(ledger)] == [None, 1, 2, 3]


@pytest.mark.parametrize("length", [1, 12, 40])
def test_a_torn_header_is_written_anew(ledger: Ledger, length: int) -> None:
    """A file whose very first write was cut short takes records again, with one header."""
    put(ledger, FIRST)
    whole = file_of(ledger).read_bytes()
    file_of(ledger).write_bytes(whole[:length])
    put(ledger, FIRST)
    assert file_of(ledger).read_bytes() == whole


def test_a_closed_book_can_be_closed_again(ledger: Ledger) -> None:
    """The second close neither fails nor removes what another process has made since."""
    book = ledger.locked(MEDIUM, NOW)
    book.close()
    put(ledger, FIRST)
    book.close()
    assert entries_of(ledger) == [FIRST]
