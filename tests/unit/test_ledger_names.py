"""The names of ledger files."""

from __future__ import annotations

import hashlib
import os

import pytest

from ntt_loops._ledger.names import file_name, medium_of

NAME_MAX = 255

#: Media that have an encoded name, and that name.
ENCODED = {
    "536a933b4481f605fcd44615740a9025": "536a933b4481f605fcd44615740a9025.jsonl",
    "Zip disk #12": "Zip%20disk%20%2312.jsonl",
    "50% off": "50%25%20off.jsonl",
    "a\nb": "a%0Ab.jsonl",
    "x.img (deleted)": "x.img%20%28deleted%29.jsonl",
    "Grüße": "Gr%C3%BC%C3%9Fe.jsonl",
    os.fsdecode(b"\xff\xfe"): "%FF%FE.jsonl",
    ".hidden": ".hidden.jsonl",
    "~": "~.jsonl",
    "a.jsonl": "a.jsonl.jsonl",
    "%20": "%2520.jsonl",
    "A": "A.jsonl",
    "x" * 200: "x" * 200 + ".jsonl",
}
#: Media whose encoded name is too long.
LONG = {
    "201 plain bytes": "x" * 201,
    "250 bytes": "y" * 250,
    "67 bytes of three each": " " * 67,
    "a cut in the middle of a sequence": "x" * 159 + " " * 40,
    "a thousand bytes": "z" * 1000,
}


@pytest.mark.parametrize(("medium", "name"), ENCODED.items(), ids=map(repr, ENCODED))
def test_a_short_id_is_percent_encoded_and_read_back(medium: str, name: str) -> None:
    """An id is a file name of plain characters, and the file name alone tells the id."""
    assert file_name(medium) == name
    assert medium_of(name) == medium


@pytest.mark.parametrize("medium", LONG.values(), ids=LONG)
def test_a_long_id_is_shortened_with_a_digest(medium: str) -> None:
    """Beyond 200 bytes the name is 160 bytes of the encoded id and the digest of the whole; it does not tell the id."""
    name = file_name(medium)
    head, _, digest = name.removesuffix(".jsonl").rpartition("%%")
    assert len(head) == 160
    assert digest == hashlib.sha256(medium.encode()).hexdigest()
    assert medium_of(name) is None


def test_long_ids_that_begin_alike_have_files_of_their_own() -> None:
    """What is cut off still tells two ids apart."""
    assert file_name("x" * 250 + "a") != file_name("x" * 250 + "b")


@pytest.mark.parametrize("medium", [*ENCODED, *LONG.values()], ids=[*map(repr, ENCODED), *LONG])
def test_a_name_is_one_that_every_file_system_takes(medium: str) -> None:
    """A ledger's name, also that of its replacement, is one printable component of at most 255 bytes."""
    name = f"{file_name(medium)}.new"
    assert name.isascii()
    assert name.isprintable()
    assert "/" not in name
    assert len(name) <= NAME_MAX


@pytest.mark.parametrize(
    "name",
    [
        "no suffix",
        "x.jsonl.aside-1700000000000000000",
        "x.jsonl.new",
        "with blank.jsonl",
        "%2d.jsonl",
        "%41.jsonl",
        "%c3%BC.jsonl",
        "%zz.jsonl",
        "50%.jsonl",
        "Grüße.jsonl",
        "x" * 201 + ".jsonl",
        os.fsdecode(b"\xff.jsonl"),
        os.fsdecode(b"%20\xff.jsonl"),
    ],
    ids=repr,
)
def test_a_name_that_no_id_makes_is_nobodys(name: str) -> None:
    """A file that only looks like a ledger stands for no medium, whatever bytes its name has."""
    assert medium_of(name) is None
