"""Words and numbers for people."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntt_loops.cli.exits import Exit, worst
from ntt_loops.cli.parameters import seconds
from ntt_loops.cli.text import age, command_line, quoted, size, visible


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (512, "512 B"), (1024, "1 KiB"), (1474560, "1.41 MiB"), (2**20 * 1023, "1023 MiB"), (2**43, "8 TiB")],
)
def test_size(size_bytes: int, text: str) -> None:
    """Three digits that count, in powers of 1024."""
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds_ago", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 12, "12 d")]
)
def test_age(seconds_ago: float, text: str) -> None:
    """In the largest unit."""
    assert age(seconds_ago) == text


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604800)]
)
def test_seconds(text: str, value: float) -> None:
    """With a unit or without."""
    assert seconds(text) == value


@given(st.binary(max_size=20).map(os.fsdecode))
def test_visible_text_prints_and_is_one_line(text: str) -> None:
    """Any file name, also one that is no UTF-8; one that prints is not changed."""
    shown = visible(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@given(st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name), min_size=1, max_size=10))
def test_bash_reads_a_command_line_back(names: list[bytes]) -> None:
    """Whatever the names, a copied command means the same, and it prints."""
    line = command_line(map(os.fsdecode, [b"printf", rb"%s\0", *names]))
    assert line.isprintable()
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.split(b"\0")[:-1] == names


def test_a_plain_word_needs_no_quotes() -> None:
    """As people write it."""
    assert [quoted(word) for word in ("/mnt/ntt/a", "a b", "it's")] == ["/mnt/ntt/a", "'a b'", "'it'\"'\"'s'"]


def test_the_worst_status_is_the_one_that_waiting_does_not_help() -> None:
    """Of none it is success."""
    assert worst([]) is Exit.DONE
    assert worst([Exit.DONE, Exit.BUSY]) is Exit.BUSY
    assert worst([Exit.BUSY, Exit.ERROR, Exit.DONE]) is Exit.ERROR
