"""The pictures of a terminal in the documents are what the command line shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.pictures.__main__ import KEPT, kept
from tests.pictures.drawing import drawn, words
from tests.pictures.place import pictures
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = sorted(KEPT.glob("*.svg"))


def test_pictures_are_what_is_shown_now() -> None:
    """But for numbers; if not, `make docs` draws them anew."""
    require_tool("losetup")
    known = kept()
    assert known == {name: words(picture) for name, picture in pictures(known).items()}


def test_another_word_is_another_picture() -> None:
    """The test above sees something, and nothing in other numbers."""
    assert words(drawn("list", "/dev/loop1  4 s  nobody")) == words(drawn("list", "/dev/loop12  2 min  nobody"))
    assert words(drawn("list", "/dev/loop1  nobody")) != words(drawn("list", "/dev/loop1  cat"))


def test_lines_in_another_order_are_another_picture_unless_they_are_alike() -> None:
    """What is to be run first is not the same as what is to be run last; which device comes first is chance."""
    assert words(drawn("why", "kill 12\numount /mnt")) != words(drawn("why", "umount /mnt\nkill 12"))
    assert words(drawn("sweep", "kept a.img\nkept b.img")) == words(drawn("sweep", "kept b.img\nkept a.img"))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_nothing_is_fetched_to_show_a_picture(picture: Path) -> None:
    """No font, no image, no script comes from elsewhere."""
    text = picture.read_text(encoding="utf-8")
    assert re.findall(r"(?:href|src|url\()\W*https?:|@import|<script", text) == []
