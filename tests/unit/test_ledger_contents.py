"""What the text of a ledger file is: good, another boot's, of an unknown format, or corrupt."""

from __future__ import annotations

import json

import attrs
import pytest

from ntt_loops._kernel import Process
from ntt_loops._ledger import Record, contents
from ntt_loops._ledger.contents import Kind, attached, event, header, read

MEDIUM = "536a"
BOOT = "0e7c1c9a"
RECORD = Record(
    number=17,
    diskseq=4711,
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
OTHER = attrs.evolve(RECORD, number=18, nonce="aaaaaa")
HEADER = header(MEDIUM, BOOT)
GOOD = HEADER + attached(RECORD) + attached(OTHER)


def test_the_text_is_as_drawn() -> None:
    """The header and the events are JSON objects, one a line, with the documented names."""
    lines = [json.loads(line) for line in (HEADER + event("detached", RECORD.key)).splitlines()]
    assert lines == [
        {"ntt_loops_ledger": 1, "medium": MEDIUM, "boot_id": BOOT},
        {"event": "detached", "number": 17, "diskseq": 4711, "nonce": "07be1a"},
    ]


def test_entries_are_what_was_attached_and_not_detached() -> None:
    """The events are replayed in order: detached is off, disowned has no owner, attached again is on again."""
    text = GOOD + event("disowned", RECORD.key) + event("detached", OTHER.key)
    found = read(text, MEDIUM, BOOT)
    assert found.kind is Kind.GOOD
    assert list(found.entries.values()) == [attrs.evolve(RECORD, owner=None)]
    assert (found.whole_bytes, found.lines, found.medium) == (len(text), 4, MEDIUM)
    again = read(text + attached(OTHER), MEDIUM, BOOT)
    assert set(again.entries) == {RECORD.key, OTHER.key}


def test_events_of_what_is_not_there_change_nothing() -> None:
    """A detach or a disowning that was written twice, or of another key, is no error."""
    stranger = (17, None, "07be1a")
    text = GOOD + event("detached", stranger) + event("disowned", stranger) + 2 * event("detached", OTHER.key)
    assert list(read(text, MEDIUM, BOOT).entries) == [RECORD.key]


@pytest.mark.parametrize("torn", [b"{", attached(RECORD)[:-1], b"\x00" * 40, b"\xff\xfe", b"{}"], ids=repr)
def test_a_torn_last_line_is_not_read(torn: bytes) -> None:
    """What is behind the last newline was cut off by a crash: the whole lines before it are good."""
    found = read(GOOD + torn, MEDIUM, BOOT)
    assert found.kind is Kind.GOOD
    assert set(found.entries) == {RECORD.key, OTHER.key}
    assert found.whole_bytes == len(GOOD)


@pytest.mark.parametrize("length", [0, 1, 10, 19, 21, 40, len(HEADER) - 1])
def test_a_torn_header_is_an_empty_ledger(length: int) -> None:
    """A first write that a crash cut short, at whatever byte, left nothing on record."""
    found = read(HEADER[:length], MEDIUM, BOOT)
    assert (found.kind, found.entries, found.whole_bytes) == (Kind.GOOD, {}, 0)


def test_another_boots_text_keeps_its_records_for_the_report() -> None:
    """The devices of another boot are gone, and the reader can say which they were."""
    found = read(GOOD, MEDIUM, "another")
    assert found.kind is Kind.OTHER_BOOT
    assert set(found.entries) == {RECORD.key, OTHER.key}


@pytest.mark.parametrize("version", [0, 2, -1, 10**30])
@pytest.mark.parametrize("rest", [b"", b"\xff\xfe not even JSON\n", b"torn"], ids=repr)
def test_another_version_is_an_unknown_format(version: int, rest: bytes) -> None:
    """Nothing behind a version that is not ours is looked at."""
    head = b'{"ntt_loops_ledger":%d}\n' % version
    assert read(head + rest, MEDIUM, BOOT).kind is Kind.UNKNOWN_FORMAT


@pytest.mark.parametrize("text", [b'{"ntt_loops_ledger":2,"entries":[]}', b'{"ntt_loops_ledger":20,"med'], ids=repr)
def test_another_version_without_a_newline_is_not_taken_for_our_torn_header(text: bytes) -> None:
    """A file of a later version may hold no newline at all: taken for torn, it would be cut to nothing."""
    assert read(text, MEDIUM, BOOT).kind is not Kind.GOOD


@pytest.mark.parametrize(
    "text",
    [
        b"\n",
        b"\n" + GOOD,
        b"x",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'"ntt_loops_ledger"\n',
        b'{"ntt_loops_ledger":true}\n',
        HEADER.replace(b":1,", b":true,"),
        HEADER.replace(b":1,", b":1.0,"),
        b'{"ntt_loops_ledger":"1"}\n',
        b'{"ntt_loops_ledger":1}\n',
        b'{"ntt_loops_ledger":1,"medium":7,"boot_id":"0e7c1c9a"}\n',
        b'{"ntt_loops_ledger":1' + b"0" * 5000 + b"}\n",
        header("another", BOOT),
        attached(RECORD),
        GOOD + b"\n",
        GOOD + b"[]\n",
        GOOD + HEADER,
        GOOD + b'{"event":"mounted"}\n',
        GOOD + b'{"event":["attached"]}\n',
        GOOD + b'{"event":"attached"}\n',
        GOOD + b'{"event":"detached","number":17}\n',
        GOOD + b'{"event":"disowned","number":"17","diskseq":4711,"nonce":"07be1a"}\n',
        GOOD + attached(RECORD)[:-10] + attached(RECORD),
        GOOD + b"\x00" * 40 + b"\n",
        GOOD + b"[" * 100_000 + b"\n",
        GOOD + b'{"event":' * 100_000 + b"\n",
        GOOD + b"\xff\n",
    ],
    ids=lambda text: repr(text[:60]) + f" {len(text)}",
)
def test_any_other_text_is_corrupt(text: bytes) -> None:
    """What this library cannot have written is corrupt as a whole: no entry of it is believed."""
    found = read(text, MEDIUM, BOOT)
    assert (found.kind, found.entries) == (Kind.CORRUPT, {})


def test_the_medium_can_be_found_out() -> None:
    """Of a shortened name the header tells the medium; of what cannot be read it is not known."""
    assert read(GOOD, None, BOOT).medium == MEDIUM
    assert read(b"x\n", None, BOOT).medium is None


def test_no_more_lines_are_remembered_than_a_few() -> None:
    """A process that attaches for months does not keep every line that it ever wrote."""
    for number in range(300):
        attached(attrs.evolve(RECORD, number=number))
    assert len(contents._remembered) <= 16
