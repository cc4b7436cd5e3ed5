"""Any id as a file name and in a tag, and any record as a line."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, example, given, settings

from ntt_loops._attachment import check_medium
from ntt_loops._backoff import Deadline
from ntt_loops._kernel import Process
from ntt_loops._ledger import Ledger, Record, Tag, token_of
from ntt_loops._ledger.contents import attached
from ntt_loops._ledger.names import file_name, medium_of
from ntt_loops._ledger.record import record_of
from ntt_loops.testing import MemoryKernel

#: No test here is about time, also on a machine that is busy.
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = Deadline(0.0)
KERNEL = MemoryKernel()
NAME_MAX, TAG_MAX = 255, 63


def as_id(name: bytes) -> str:
    """Make an id of any bytes."""
    medium = os.fsdecode(name.replace(b"/", b"%").replace(b"\0", b"0"))
    return medium if medium not in {"", ".", ".."} else "x"


#: Short ones of few characters, so that many are close to each other; words; any bytes; long ones that begin alike.
IDS = (
    st.text("aA.%~ 20", min_size=1, max_size=4).map(lambda text: as_id(text.encode()))
    | st.from_regex(r"[A-Za-z0-9._-]{30,45}", fullmatch=True)
    | st.binary(min_size=1, max_size=60).map(as_id)
    | st.binary(max_size=60).map(lambda end: as_id(b"x" * 190 + end))
)
U64 = st.integers(0, 2**64 - 1)
RECORDS = st.builds(
    Record,
    number=U64,
    diskseq=st.none() | U64,
    nonce=st.text(st.characters(exclude_characters="\0"), max_size=8),
    image=st.binary(max_size=300).map(lambda name: name.replace(b"\0", b"")),
    dev=U64,
    inode=U64,
    offset_bytes=U64,
    size_limit_bytes=U64,
    lifetime=st.sampled_from(["kept", "scoped"]),
    owner=st.none() | st.builds(Process, U64, U64, U64),
    time=st.floats(0, 2**63),
    uptime=st.floats(0, 2**63),
)


@ANY
@given(st.lists(IDS, min_size=2, max_size=8, unique=True))
def test_two_ids_never_share_a_file_or_a_token(media: list[str]) -> None:
    """Names and tokens are as different as their ids."""
    assert len({file_name(medium) for medium in media}) == len(media)
    assert len({token_of(medium) for medium in media}) == len(media)


@ANY
@given(IDS)
@example("%")
@example("%%")
@example("x" * 160 + "%%" + "0" * 64)
def test_a_file_name_is_valid_and_leads_back(medium: str) -> None:
    """Every id has a name that a file system takes, and that tells the id or, where it is a digest, nothing."""
    name = file_name(check_medium(medium))
    assert name.isascii()
    assert name.isprintable()
    assert "/" not in name
    assert len(name) <= NAME_MAX
    assert medium_of(name) == (None if "%%" in name else medium)


@ANY
@given(st.binary(max_size=40).map(lambda name: os.fsdecode(name.replace(b"\0", b"")) + ".jsonl"))
def test_a_file_name_stands_for_no_id_or_is_that_ids(name: str) -> None:
    """Of any name in the folder the inverse either says nothing, or an id whose file it is."""
    medium = medium_of(name)
    assert medium is None or file_name(medium) == name


@ANY
@given(st.lists(IDS, max_size=5, unique=True))
def test_the_folder_lists_the_media_that_have_a_file(media: list[str]) -> None:
    """Whatever they are called, all media with a record are found again, and no other."""
    record = Record(1, 41, "07be1a", b"/x.img", 1, 2, 0, 0, "kept", None, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "run"), KERNEL)
        for medium in media:
            with ledger.locked(medium, NOW) as book:
                book.add(record)
        assert sorted(ledger.media()) == sorted(media)
        assert [ledger.peek(medium) for medium in media] == [(record,)] * len(media)


@ANY
@given(IDS, st.from_regex(r"[0-9a-f]{8}", fullmatch=True), st.booleans(), st.from_regex(r"[0-9a-f]{6}", fullmatch=True))
def test_every_tag_fits_the_kernel_and_is_read_back(medium: str, registry: str, kept: bool, nonce: str) -> None:  # noqa: FBT001 - drawn
    """A tag has at most 63 bytes, and says the same when it is read."""
    tag = Tag(registry, kept, nonce, token_of(medium))
    assert len(bytes(tag)) <= TAG_MAX
    assert Tag.read(bytes(tag)) == tag


@settings(ANY, max_examples=500)
@given(
    st.binary(max_size=70)
    | st.builds(lambda tail: b"ntt1:9f31c2d4:k:07be1a:" + tail, st.binary(max_size=45))
    | st.from_regex(rb"ntt1:[0-9a-fA-F]{7,9}:[ksx]:[0-9a-g]{5,7}:~?[0-9a-z._-]{0,45}\n?", fullmatch=True)
)
def test_a_name_is_a_tag_only_where_its_tag_is_that_name(name: bytes) -> None:
    """Tags are compared whole: what is read as one writes the very same bytes."""
    tag = Tag.read(name)
    assert tag is None or (bytes(tag) == name and len(name) <= TAG_MAX)


@ANY
@given(RECORDS)
def test_every_record_survives_its_line(record: Record) -> None:
    """Any path and any numbers are one line of ASCII, and are read back equal."""
    line = attached(record)
    assert line.isascii()
    assert line.count(b"\n") == 1
    fields = json.loads(line)
    del fields["event"]
    assert record_of(fields) == record
