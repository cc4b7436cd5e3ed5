"""Any bytes in a ledger file, and any changes of one."""

from __future__ import annotations

import functools
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from ntt_loops import LedgerError
from ntt_loops._backoff import Deadline
from ntt_loops._kernel import Process
from ntt_loops._ledger import Key, Ledger, Record, contents
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No test here is about time, also on a machine that is busy.
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = Deadline(0.0)
MEDIUM = "536a"
KERNEL = MemoryKernel()
U64 = st.integers(0, 2**64 - 1)
NAME = st.binary(max_size=60).map(lambda name: name.replace(b"\0", b""))

RECORDS = st.builds(
    Record,
    number=st.integers(0, 3),
    diskseq=st.none() | st.integers(0, 2) | U64,
    nonce=st.sampled_from(["07be1a", "07be1b"]) | st.text("0123456789abcdef", min_size=6, max_size=6),
    image=NAME.map(lambda name: b"/" + name),
    dev=U64,
    inode=U64,
    offset_bytes=U64,
    size_limit_bytes=U64,
    lifetime=st.sampled_from(["kept", "scoped"]),
    owner=st.none() | st.builds(Process, U64, U64, U64),
    time=st.floats(0, 2**63),
    uptime=st.floats(0, 2**63),
)


class Change(NamedTuple):
    """One call of a book, of which two may be of the same attachment."""

    name: str
    record: Record

    def line(self) -> bytes:
        """Return what it writes."""
        return contents.attached(self.record) if self.name == "attached" else contents.event(self.name, self.record.key)

    def to(self, model: dict[Key, Record]) -> None:
        """Do to a dict what it says."""
        key = self.record.key
        if self.name == "attached":
            model[key] = self.record
        elif self.name == "detached":
            model.pop(key, None)
        elif key in model:
            model[key] = attrs.evolve(model[key], owner=None)


FEW = st.lists(RECORDS, min_size=1, max_size=4, unique_by=lambda record: record.key)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Draw a history of a few attachments, which come and go more than once."""
    one = st.builds(
        Change, st.sampled_from(["attached", "attached", "detached", "disowned"]), st.sampled_from(draw(FEW))
    )
    return draw(st.lists(one, max_size=12))


def after(history: list[Change]) -> dict[Key, Record]:
    """Return what is attached after it."""
    model: dict[Key, Record] = {}
    for change in history:
        change.to(model)
    return model


@functools.cache
def header(boot_id: str | None = None) -> bytes:
    """Return the first line of this boot, or of another one."""
    return contents.header(MEDIUM, boot_id or KERNEL.boot_id())


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
#: A line of ours with one value replaced.
ODD_LINES = st.builds(
    lambda record, name, value: contents.encode({"event": "attached", **record.to_line(), name: value}),
    RECORDS,
    st.sampled_from(["event", "owner", *(field.name for field in attrs.fields(Record))]),
    JSON,
)
HEADS = st.sampled_from([header(), header("another"), b'{"ntt_loops_ledger":2}\n', b'{"ntt_loops_ledger":2}', b""])
LINES = (
    st.binary(max_size=40)
    | ODD_LINES
    | RECORDS.map(contents.attached)
    | JSON.map(lambda value: contents.encode({"event": value}))
)
TEXTS = st.binary(max_size=200) | st.builds(
    lambda head, lines: head + b"".join(lines), HEADS, st.lists(LINES, max_size=4)
)


@contextmanager
def a_file(text: bytes) -> Iterator[tuple[Ledger, Path]]:
    """A ledger folder in which a medium's file holds this."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "run"), KERNEL)
        ledger.run_dir.mkdir(mode=0o700)
        path = ledger.run_dir / f"{MEDIUM}.jsonl"
        path.touch(mode=0o600)
        path.write_bytes(text)
        yield ledger, path


def check_any(text: bytes) -> None:
    """See that a text is read as entries, set aside, or refused, and that nothing of it is lost or made up."""
    new = Record(9, None, "ffffff", b"/new", 1, 2, 0, 0, "kept", None, 0.0, 0.0)
    with a_file(text) as (ledger, path):
        peeked = {record.key: record for record in ledger.peek(MEDIUM)}
        assert ledger.media() == [MEDIUM]
        with ledger.locked(MEDIUM, NOW) as book:
            assert book.entries == peeked
            found = dict(book.entries)
            if book.problem is not None:  # refused
                with pytest.raises(LedgerError):
                    book.add(new)
            else:
                book.add(new)
                found[new.key] = new
        if book.problem is not None:
            assert path.read_bytes() == text
        if book.set_aside is not None:
            assert (book.set_aside.read_bytes(), peeked) == (text, {})
        assert {record.key: record for record in ledger.peek(MEDIUM)} == found
        with ledger.locked(MEDIUM, NOW) as again:
            assert (again.entries, again.set_aside, again.forgotten) == (found, None, ())


@settings(ANY, max_examples=200)
@given(TEXTS)
@example(b"")
@example(b"\n")
@example(header()[:-1])
@example(header() + b"[" * 20_000 + b"\n")
@example(header().replace(b":", b": ").rstrip(b"\n"))
def test_any_bytes_are_entries_or_set_aside_or_refused(text: bytes) -> None:
    """No content of a ledger file raises anything else, and a record can be added after it unless it was refused."""
    check_any(text)


@ANY
@given(changes())
def test_what_this_process_wrote_reads_as_in_any_other(history: list[Change]) -> None:
    """Lines that are remembered, and the same lines parsed, are the same records."""
    text = header() + b"".join(change.line() for change in history)
    remembered = contents.read(text, MEDIUM, KERNEL.boot_id())
    contents._remembered.clear()
    contents.header.cache_clear()
    parsed = contents.read(text, MEDIUM, KERNEL.boot_id())
    assert remembered == parsed
    assert parsed == contents.read(text, None, KERNEL.boot_id())
    assert parsed.entries == after(history)


@ANY
@given(TEXTS)
@example(header().replace(b":", b": ").rstrip(b"\n"))
def test_what_is_whole_ends_with_a_line(text: bytes) -> None:
    """The part of a text that is kept at the next append ends with a newline, or is nothing."""
    whole_bytes = contents.read(text, MEDIUM, KERNEL.boot_id()).whole_bytes
    assert whole_bytes == 0 or text[:whole_bytes].endswith(b"\n")
    assert b"\n" not in text[whole_bytes:] or whole_bytes == 0


@ANY
@given(changes(), st.data())
def test_a_file_cut_anywhere_says_what_its_whole_lines_say(history: list[Change], data: st.DataObject) -> None:
    """Torn at any byte, a good file has the entries of the lines before, and is neither set aside nor refused."""
    text = header() + b"".join(change.line() for change in history)
    cut = text[: data.draw(st.integers(0, len(text)), "length")]
    with a_file(cut) as (ledger, _), ledger.locked(MEDIUM, NOW) as book:
        assert book.entries == after(history[: max(0, cut.count(b"\n") - 1)])
        assert (book.set_aside, book.problem) == (None, None)


@ANY
@given(changes(), st.data())
def test_a_file_with_lines_lost_or_doubled_says_what_is_left(history: list[Change], data: st.DataObject) -> None:
    """Events that are missing or there twice, as after a bad repair by hand, are replayed as they stand."""
    kept = [change for change in history for _ in range(data.draw(st.integers(0, 2), "times"))]
    text = header() + b"".join(change.line() for change in kept)
    with a_file(text) as (ledger, _), ledger.locked(MEDIUM, NOW) as book:
        assert book.entries == after(kept)
        assert (book.set_aside, book.problem) == (None, None)


@settings(ANY, max_examples=200)
@given(changes(), st.data())
def test_a_file_with_bytes_changed_is_entries_or_set_aside_or_refused(
    history: list[Change], data: st.DataObject
) -> None:
    """A good file with bytes flipped, taken out or put in, its header too, raises nothing else."""
    text = bytearray(header() + b"".join(change.line() for change in history))
    for _ in range(data.draw(st.integers(1, 3), "how many")):
        place = data.draw(st.integers(0, len(text) - 1), "place")
        length = data.draw(st.integers(0, 3), "length")
        text[place : place + length] = data.draw(st.binary(max_size=3), "bytes")
    check_any(bytes(text))


@ANY
@given(st.lists(changes(), max_size=4))
def test_a_book_is_a_dict_that_survives(sessions: list[list[Change]]) -> None:
    """After any calls in any number of openings the next process reads what a dict would hold; no entry, no file."""
    model: dict[Key, Record] = {}
    with a_file(b"") as (ledger, path):
        for session in sessions:
            with ledger.locked(MEDIUM, NOW) as book:
                for change in session:
                    change.to(model)
                    if change.name == "attached":
                        book.add(change.record)
                    elif change.name == "detached":
                        book.remove(change.record.key)
                    else:
                        book.disown(change.record.key)
                    assert book.entries == model
            assert {record.key: record for record in ledger.peek(MEDIUM)} == model
            assert path.exists() == bool(model)
