"""A record as a line of the ledger, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import pytest

from ntt_loops._kernel import Process
from ntt_loops._ledger import Record
from ntt_loops._ledger.contents import attached
from ntt_loops._ledger.record import key_of, record_of

RECORD = Record(
    number=17,
    diskseq=4711,
    nonce="07be1a",
    image=b"/data/fast/img/536a.img",
    dev=2049,
    inode=131,
    offset_bytes=512,
    size_limit_bytes=1024,
    lifetime="kept",
    owner=None,
    time=1.75e9,
    uptime=4242.5,
)
LARGEST = 2**64 - 1

RECORDS = {
    "kept": RECORD,
    "scoped with its owner": attrs.evolve(RECORD, lifetime="scoped", owner=Process(4711, 99, 4026531836)),
    "without a diskseq": attrs.evolve(RECORD, diskseq=None),
    "device 0 and nothing but zeros": attrs.evolve(RECORD, number=0, diskseq=0, dev=0, inode=0, offset_bytes=0),
    "the largest numbers": attrs.evolve(RECORD, diskseq=LARGEST, dev=LARGEST, inode=LARGEST, size_limit_bytes=LARGEST),
    "a name that is no UTF-8": attrs.evolve(RECORD, image=b"/data/\xff\xfe\x80.img"),
    "a newline in the name": attrs.evolve(RECORD, image=b'/data/a\nb\r\x0b\x1c"\\.img'),
    "line separators of Unicode": attrs.evolve(RECORD, image="/data/\u2028\u0085.img".encode()),
    "a file really called (deleted)": attrs.evolve(RECORD, image=b"/data/x.img (deleted)"),
    "a path of 4095 bytes": attrs.evolve(RECORD, image=b"/" + b"x" * 4094),
}


def bad(**changes: object) -> dict[str, Any]:
    """Return a line with one thing wrong."""
    return {**RECORD.to_line(), **changes}


def without(name: str) -> dict[str, Any]:
    """Return a line that lacks a field."""
    return {key: value for key, value in RECORD.to_line().items() if key != name}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_survives_its_line(record: Record) -> None:
    """What is written is read back equal, field for field and type for type."""
    line = json.loads(attached(record))
    assert line.pop("event") == "attached"
    again = record_of(line)
    assert again == record
    assert [type(value) for value in attrs.astuple(again)] == [type(value) for value in attrs.astuple(record)]


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_is_one_line_of_ascii(record: Record) -> None:
    """No name can break a line in two, or be cut in the middle of a character."""
    line = attached(record)
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.decode().splitlines() == [line.decode().rstrip("\n")]


def test_a_line_holds_every_fact() -> None:
    """A line names each field of a record, so that none is lost at the next read."""
    assert set(RECORD.to_line()) == {field.name for field in attrs.fields(Record)}


@pytest.mark.parametrize(
    "name", [field.name for field in attrs.fields(Record) if field.name not in {"diskseq", "owner", "image_bytes"}]
)
def test_a_line_without_a_field_is_refused(name: str) -> None:
    """A field that is missing is never made up."""
    with pytest.raises(ValueError, match=rf"^{name} None$"):
        record_of(without(name))


@pytest.mark.parametrize(
    "line",
    [
        bad(number=-1),
        bad(number=True),
        bad(number=1.0),
        bad(number="17"),
        bad(diskseq=LARGEST + 1),
        bad(diskseq=False),
        bad(dev=[1]),
        bad(inode={}),
        bad(offset_bytes=-512),
        bad(size_limit_bytes=math.inf),
        bad(nonce=7),
        bad(nonce="07\0be"),
        bad(image=None),
        bad(image="/data/\0.img"),
        bad(image="/data/\ud800.img"),
        bad(lifetime="forever"),
        bad(lifetime=["kept"]),
        bad(owner=[1, 2, 3]),
        bad(owner={"pid": 1, "start_ticks": 2}),
        bad(owner={"pid": -1, "start_ticks": 2, "pid_namespace": 3}),
        bad(time=math.nan),
        bad(time=-1),
        bad(time="now"),
        bad(uptime=math.inf),
        bad(uptime=True),
    ],
    ids=str,
)
def test_a_line_that_no_record_made_is_refused(line: dict[str, Any]) -> None:
    """A wrong type, a number out of range or a name that no file can have is a ValueError, never half a record."""
    with pytest.raises(ValueError, match=r"."):
        record_of(line)


@pytest.mark.parametrize("change", [{"number": 18}, {"diskseq": 4712}, {"diskseq": None}, {"nonce": "07be1b"}])
def test_the_key_tells_attachments_apart(change: dict[str, Any]) -> None:
    """Another number, diskseq or nonce is another attachment; whatever else differs is not."""
    assert attrs.evolve(RECORD, **change).key != RECORD.key
    assert attrs.evolve(RECORD, image=b"/other", owner=Process(1, 2, 3)).key == RECORD.key


def test_the_key_is_read_from_a_line() -> None:
    """Later events name an attachment by its key alone."""
    assert key_of(RECORD.to_line()) == RECORD.key == (17, 4711, "07be1a")
