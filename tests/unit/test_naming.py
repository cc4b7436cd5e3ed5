"""What a medium is called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MediumError
from ntt_loops._attachment import check_medium, is_hash, is_named_for, medium_of
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

NO_IDS = ["", ".", "..", "a/b", "/", "/data/x.img", "a\0b", "\0", "\ud800", "a\udfff.img", "\udc7f"]
GOOD = ["536a", "...", ".hidden", "a b", "a\nb", "~", "%20", "-rf", "x.img (deleted)", "x" * 5000, "\udcff", "Grüße"]
HASH = "536a933b4481f605fcd44615740a9025"


@pytest.mark.parametrize(
    ("image", "medium"),
    [
        ("/data/536a.img", "536a"),
        ("536a.img", "536a"),
        ("536a", "536a"),
        ("/data/disk.tar.gz", "disk.tar"),
        ("/data.d/disk", "disk"),
        ("/data/.img", ".img"),
        ("/data/..img", "..img"),
        ("/data/...img", "...img"),
        ("/data/....img", "..."),
        ("/data/disk.", "disk."),
        ("/data/a b\n.img", "a b\n"),
        ("/data/x.img (deleted)", "x"),
        ("/data/\udcff.img", "\udcff"),
    ],
)
def test_an_id_is_the_images_name_without_its_last_suffix(image: str, medium: str) -> None:
    """The folder and one suffix go; where that leaves no id the whole name is it."""
    assert medium_of(image) == medium
    assert check_medium(medium) == medium


@pytest.mark.parametrize("medium", GOOD, ids=lambda medium: repr(medium[:20]))
def test_whatever_can_be_a_file_name_can_be_an_id(medium: str) -> None:
    """Blanks, newlines, leading dots, any bytes and any length are taken as they are."""
    assert check_medium(medium) == medium


@pytest.mark.parametrize("medium", NO_IDS, ids=repr)
def test_what_cannot_be_a_file_name_is_no_id(medium: str) -> None:
    """Empty, a dot, two, a slash, NUL and a lone surrogate are MediumError, a ValueError that shows the id."""
    with pytest.raises(MediumError) as caught:
        check_medium(medium)
    assert repr(medium) in str(caught.value)
    assert caught.value.medium == medium


@pytest.mark.parametrize("medium", [b"536a", 7, True, ["536a"]], ids=repr)
def test_an_id_that_is_no_str_is_a_type_error(medium: str) -> None:
    """Bytes and numbers are a mistake of the program, not of the data."""
    with pytest.raises(TypeError, match="a medium's id is a str"):
        check_medium(medium)


@pytest.mark.parametrize("medium", NO_IDS, ids=repr)
def test_every_public_call_refuses_a_bad_id(medium: str, tmp_path: Path) -> None:
    """No call takes what cannot be an id, and none has opened or attached anything before it says so."""
    kernel = MemoryKernel()
    loops = Loops(tmp_path / "run", kernel)
    image = tmp_path / "536a.img"
    image.write_bytes(bytes(4096))
    before = open_numbers()
    with pytest.raises(MediumError):
        loops.attached(image, medium=medium)
    with pytest.raises(MediumError):
        loops.attach_kept(image, medium=medium)
    with pytest.raises(MediumError):
        loops.list_media(medium)
    if "/" not in medium:  # with one it is a path
        with pytest.raises(MediumError):
            loops.release_all(medium)
    assert open_numbers() == before
    assert kernel.bound_numbers() == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("medium", [HASH, HASH.upper(), "0" * 32, "f" * 64, "536a933b4481f605", "000000000000000a"])
def test_a_hash_is_32_hex_digits_or_16_with_a_letter(medium: str) -> None:
    """Such an id is nobody's file name by chance, so a device may be found by it."""
    assert is_hash(medium)


@pytest.mark.parametrize(
    "medium", ["", "disk", "20240131", "2024013112000000", "536a933b4481f60", f"{HASH[:-1]}g", f"{HASH}\n"]
)
def test_a_date_a_word_or_a_short_number_is_no_hash(medium: str) -> None:
    """Such an id may be somebody else's file name, so no device is found by it."""
    assert not is_hash(medium)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        (b"536a", True),
        (b"536a.img", True),
        (b"536a.", True),
        (b"536a.img.gz", False),
        (b"536a-old.img", False),
        (b"x536a.img", False),
        (b"536A.img", False),
        (b"536", False),
        (b".536a", False),
        (b"", False),
    ],
)
def test_a_file_is_named_for_an_id_exactly(name: bytes, *, is_it: bool) -> None:
    """The id alone or with one suffix, never with anything before or behind it."""
    assert is_named_for(name, "536a") is is_it


def test_a_file_is_named_for_an_id_of_any_bytes() -> None:
    """The kernel's bytes are compared with the id's."""
    assert is_named_for(b"\xff\xfe.img", os.fsdecode(b"\xff\xfe"))
