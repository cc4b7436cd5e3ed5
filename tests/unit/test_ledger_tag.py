"""The tag in ``lo_file_name``."""

from __future__ import annotations

import hashlib
import os
import re

import pytest

from ntt_loops._ledger import Tag, new_nonce, token_of
from ntt_loops._ledger.tag import registry_of

NAME_BYTES = 63
TAG = Tag("9f31c2d4", kept=True, nonce="07be1a", token="536a933b4481f605fcd44615740a9025")  # noqa: S106 - no password
TEXT = b"ntt1:9f31c2d4:k:07be1a:536a933b4481f605fcd44615740a9025"

PLAIN = ["536a933b4481f605fcd44615740a9025", "disk-12_b.v2", "x" * 40, "A"]
ODD = ["x" * 41, "Zip disk #12", "a:b", "~tilde", "Grüße", "a\nb", "a\n", os.fsdecode(b"\xff"), "x" * 1000]


def test_a_tag_is_written_as_drawn() -> None:
    """The bytes are those of the drawing, and are read back equal; k is kept, s is scoped."""
    assert bytes(TAG) == TEXT
    assert Tag.read(TEXT) == TAG
    scoped = Tag.read(TEXT.replace(b":k:", b":s:"))
    assert scoped is not None
    assert not scoped.kept


@pytest.mark.parametrize("medium", PLAIN)
def test_a_plain_id_stands_in_its_tag(medium: str) -> None:
    """An id of letters, digits, dot, underscore and hyphen up to 40 bytes is legible in losetup's list."""
    assert token_of(medium) == medium


@pytest.mark.parametrize("medium", ODD, ids=repr)
def test_any_other_id_is_a_digest_in_its_tag(medium: str) -> None:
    """What is too long or has other characters is ``~`` and 32 hex digits of its sha256."""
    assert token_of(medium) == "~" + hashlib.sha256(os.fsencode(medium)).hexdigest()[:32]


@pytest.mark.parametrize("medium", [*PLAIN, *ODD], ids=repr)
@pytest.mark.parametrize("kept", [True, False])
def test_every_tag_fits_and_is_read_back(medium: str, *, kept: bool) -> None:
    """Whatever the id, the kernel's 63 bytes hold the whole tag."""
    tag = Tag(registry_of("0e7c", 64768, 2**63), kept, new_nonce(), token_of(medium))
    assert len(bytes(tag)) <= NAME_BYTES
    assert Tag.read(bytes(tag)) == tag


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"/data/fast/img/536a.img",
        TEXT[:-33],
        TEXT + b"\n",
        TEXT + b"\0",
        b" " + TEXT,
        TEXT.replace(b"ntt1", b"ntt2"),
        TEXT.replace(b":k:", b":x:"),
        TEXT.replace(b"9f31c2d4", b"9F31C2D4"),
        TEXT.replace(b"9f31c2d4", b"9f31c2d"),
        TEXT.replace(b"07be1a", b"07be1"),
        TEXT.replace(b"07be1a", b"07be1g"),
        b"ntt1:9f31c2d4:k:07be1a:~" + b"0" * 31,
        b"ntt1:9f31c2d4:k:07be1a:~" + b"0" * 33,
        b"ntt1:9f31c2d4:k:07be1a:~" + b"G" * 32,
        b"ntt1:9f31c2d4:k:07be1a:a b",
        b"ntt1:9f31c2d4:k:07be1a:a/b",
        b"ntt1:9f31c2d4:k:07be1a:a\xffb",
        b"ntt1:9f31c2d4:k:07be1a:" + b"x" * 41,
        b"\xff" * 63,
    ],
    ids=repr,
)
def test_a_name_that_somebody_else_wrote_is_no_tag(name: bytes) -> None:
    """A tag is compared whole: what is cut, longer, or written another way is not ours."""
    assert Tag.read(name) is None


def test_the_longest_tag_is_63_bytes_and_one_more_is_none() -> None:
    """The kernel keeps 63 bytes, so a 64-byte name was never written by us."""
    longest = bytes(Tag("9f31c2d4", kept=False, nonce="07be1a", token="x" * 40))
    assert len(longest) == NAME_BYTES
    assert Tag.read(longest) is not None
    assert Tag.read(longest + b"x") is None


def test_a_nonce_is_six_hex_digits_drawn_anew() -> None:
    """A thousand nonces, out of sixteen million, hardly ever meet: they tell attachments apart."""
    nonces = [new_nonce() for _ in range(1000)]
    assert all(re.fullmatch("[0-9a-f]{6}", nonce) for nonce in nonces)
    assert len(set(nonces)) > 990


def test_a_registry_stands_for_one_folder_in_one_boot() -> None:
    """Another boot, file system or folder is another registry of eight hex digits."""
    ours = registry_of("0e7c", 24, 17)
    assert re.fullmatch("[0-9a-f]{8}", ours)
    assert registry_of("0e7c", 24, 17) == ours
    assert len({ours, registry_of("0e7d", 24, 17), registry_of("0e7c", 25, 17), registry_of("0e7c", 24, 18)}) == 4
