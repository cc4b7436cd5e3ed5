"""The bash twins of the NTT programs, as text."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.needs import require_tool
from tests.support.ntt import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

TWINS = sorted((EXAMPLES / "bash").iterdir())


def test_each_program_has_its_twin() -> None:
    """Four and four, by the same names."""
    programs = sorted(path.stem.replace("_", "-") for path in EXAMPLES.glob("*.py"))
    assert [path.stem for path in TWINS] == programs
    assert len(programs) == 4


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(twin: Path) -> None:
    """Not even a hint."""
    done = subprocess.run([require_tool("shellcheck"), twin], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.name)
def test_they_are_a_few_lines_without_losetup(twin: Path) -> None:
    """What they leave to ntt-loops they do not do by the text of other programs."""
    text = twin.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) < 30
    assert not any("losetup" in line or "awk" in line for line in lines)
