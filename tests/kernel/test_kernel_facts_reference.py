"""docs/kernel-facts.md and the tests of facts name each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "docs" / "kernel-facts.md"


@pytest.fixture(scope="module")
def entries() -> dict[int, str]:
    """The text of each fact by its number."""
    parts = re.split(r"^(?:\*\*F(\d+)\.|## )", REFERENCE.read_text(), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True) if number}


def _tests() -> set[str]:
    texts = (path.read_text() for path in HERE.glob("test_kernel_facts_*.py"))
    return {name for text in texts for name in re.findall(r"^def (test_f\d+_\w+)", text, flags=re.MULTILINE)}


def test_each_test_of_a_fact_is_named_in_the_entry_of_that_fact(entries: dict[int, str]) -> None:
    """A test called test_f16_... stands in the entry F16, and no entry names a test that does not exist."""
    named = {name for text in entries.values() for name in re.findall(r"`(test_f\d+_\w+)`", text)}
    assert named == _tests()
    for name in named:
        number = int(name.removeprefix("test_f").partition("_")[0])
        assert f"`{name}`" in entries[number]


def test_each_fact_has_a_test_or_says_why_not(entries: dict[int, str]) -> None:
    """The facts are numbered without a gap, and each names its tests or says "Not shown here"."""
    assert sorted(entries) == list(range(1, len(entries) + 1))
    assert all("Shown by: `test_" in text or "Not shown here: " in text for text in entries.values())
