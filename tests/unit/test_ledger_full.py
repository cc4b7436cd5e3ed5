"""A full file system below the ledger, injected and real."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._ledger import Book, Ledger, Record
from ntt_loops.testing import MemoryKernel
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

NOW = Deadline(0.0)
MEDIUM = "536a"
PAGE_BYTES = 4096
FIRST = Record(
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
SECOND, THIRD = (attrs.evolve(FIRST, number=number) for number in (2, 3))

#: Each change that writes, with both of the first two on record.
CHANGES: dict[str, Callable[[Book], None]] = {
    "add": lambda book: book.add(THIRD),
    "disown": lambda book: book.disown(FIRST.key),
    "remove": lambda book: book.remove(FIRST.key),
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with two records."""
    made = Ledger(tmp_path / "run", MemoryKernel())
    put(made, FIRST, SECOND)
    return made


def put(ledger: Ledger, *records: Record) -> None:
    """Put attachments on record."""
    with ledger.locked(MEDIUM, NOW) as book:
        for record in records:
            book.add(record)


def path_of(ledger: Ledger) -> Path:
    """Return the medium's file."""
    return ledger.run_dir / f"{MEDIUM}.jsonl"


def no_space(_: int, __: bytes) -> int:
    """Write nothing."""
    raise OSError(errno.ENOSPC, "No space left on device")


def cut_at(end: int, write: Callable[[int, bytes], int] = os.write) -> Callable[[int, bytes], int]:
    """Return a write(2) that takes only the bytes up to there."""
    return lambda descriptor, data: write(descriptor, data[:end])


FAULTS = {
    "nothing is written": no_space,
    "one byte is missing": cut_at(-1),
    "twenty bytes are missing": cut_at(-20),
    "one byte is written": cut_at(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_change_that_does_not_fit_leaves_the_file_as_it_was(
    ledger: Ledger, mocker: MockerFixture, change: Callable[[Book], None], fault: Callable[[int, bytes], int]
) -> None:
    """ENOSPC and a short write are both LedgerError ENOSPC, and file and entries are those of before."""
    before = path_of(ledger).read_bytes()
    with ledger.locked(MEDIUM, NOW) as book:
        mocker.patch("ntt_loops._ledger.book.os.write", fault)
        with pytest.raises(LedgerError, match="cannot be written") as caught:
            change(book)
        mocker.stopall()
        assert (caught.value.errno, caught.value.medium, caught.value.path) == (
            errno.ENOSPC,
            MEDIUM,
            path_of(ledger),
        )
        assert book.entries == {FIRST.key: FIRST, SECOND.key: SECOND}
        assert path_of(ledger).read_bytes() == before
        change(book)
        entries = dict(book.entries)
    assert {record.key: record for record in ledger.peek(MEDIUM)} == entries


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_first_record_that_does_not_fit_leaves_no_file(
    tmp_path: Path, mocker: MockerFixture, fault: Callable[[int, bytes], int]
) -> None:
    """A new file whose header and record did not fit goes again."""
    ledger = Ledger(tmp_path / "run", MemoryKernel())
    mocker.patch("ntt_loops._ledger.book.os.write", fault)
    with ledger.locked(MEDIUM, NOW) as book, pytest.raises(LedgerError):
        book.add(FIRST)
    assert list(ledger.run_dir.iterdir()) == []


def test_a_torn_tail_is_cut_though_the_next_line_does_not_fit(ledger: Ledger, mocker: MockerFixture) -> None:
    """After a failed append behind a torn tail the file ends with its last whole line."""
    before = path_of(ledger).read_bytes()
    path_of(ledger).write_bytes(before + b'{"event":"att')
    with ledger.locked(MEDIUM, NOW) as book:
        mocker.patch("ntt_loops._ledger.book.os.write", cut_at(-3))
        with pytest.raises(LedgerError):
            book.add(THIRD)
    assert path_of(ledger).read_bytes() == before


@pytest.mark.parametrize("torn", [b"", b"torn"])
def test_an_error_of_the_cut_is_a_ledger_error_too(ledger: Ledger, mocker: MockerFixture, torn: bytes) -> None:
    """Where ftruncate(2) fails it is LedgerError, as for a write, and the next line does not join what was left."""
    path_of(ledger).write_bytes(path_of(ledger).read_bytes() + torn)
    with ledger.locked(MEDIUM, NOW) as book:
        mocker.patch("ntt_loops._ledger.book.os.write", cut_at(-3))
        mocker.patch("ntt_loops._ledger.book.os.truncate", side_effect=OSError(errno.EIO, "Input/output error"))
        with pytest.raises(LedgerError):
            book.add(THIRD)
        mocker.stopall()
        book.add(THIRD)
    assert {record.key for record in ledger.peek(MEDIUM)} == {FIRST.key, SECOND.key, THIRD.key}


def test_records_rebuilt_on_a_full_file_system_are_known_all_the_same(tmp_path: Path, mocker: MockerFixture) -> None:
    """What the tags told is an entry though it could not be written, and the book says that it was not."""
    loops = Loops(tmp_path / "run", MemoryKernel())
    ledger = loops._world().ledger
    (tmp_path / "536a.img").write_bytes(bytes(4096))
    device = loops.attach_kept(tmp_path / "536a.img")
    path_of(ledger).write_bytes(b"\n")
    mocker.patch("ntt_loops._ledger.book.os.write", no_space)
    with ledger.locked(MEDIUM, NOW) as book:
        assert [record.number for record in book.entries.values()] == [device.number]
        assert "cannot be written" in str(book.problem)
    assert [one.found_by for one in loops.release_all(MEDIUM).released] == ["tag"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real file system of four pages."""
    with mounted("none", tmp_path / "small", "-t", "tmpfs", "-o", "size=16k,mode=700") as folder:
        yield folder


def fill(folder: Path) -> None:
    """Leave no page free."""
    with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(PAGE_BYTES))
    assert os.statvfs(folder).f_bfree == 0


@pytest.mark.kernel
def test_a_full_tmpfs_takes_no_first_record(small: Path) -> None:
    """On a file system that is really full nothing is attached, nothing is left open, and no file is left."""
    kernel = MemoryKernel()
    loops = Loops(small, kernel)
    image = small.parent / "536a.img"
    image.write_bytes(bytes(4096))
    fill(small)
    before = open_numbers()
    with pytest.raises(LedgerError) as caught:
        loops.attach_kept(image)
    assert caught.value.errno == errno.ENOSPC
    assert kernel.bound_numbers() == []
    assert open_numbers() == before
    assert [entry.name for entry in small.iterdir()] == ["filler"]


@pytest.mark.kernel
def test_a_line_that_a_full_tmpfs_takes_in_part_is_cut_off_again(small: Path) -> None:
    """A line across the end of the last free page is written short: the file is as before, and still serves."""
    ledger = Ledger(small, MemoryKernel())
    with ledger.locked(MEDIUM, NOW) as book:
        book.add(FIRST)
        room = PAGE_BYTES - path_of(ledger).stat().st_size - 100
        book.add(attrs.evolve(SECOND, image=b"x" * (room - 230)))
        before = path_of(ledger).read_bytes()
        assert PAGE_BYTES - 150 < len(before) < PAGE_BYTES
        fill(small)
        with pytest.raises(LedgerError, match="file system is full") as caught:
            book.add(THIRD)
        assert path_of(ledger).read_bytes() == before
        (small / "filler").unlink()
        book.add(THIRD)
    assert caught.value.__cause__ is None
    assert [record.number for record in ledger.peek(MEDIUM)] == [1, 2, 3]
