"""Running tests of tests.

pytest forgets what a run within its own process imported. So all that the plugin imports at need is imported here
before: else each such run would have a ``Loops`` of its own for the package's functions, and this process another one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ntt_loops.pytest_plugin._every_test
import ntt_loops.pytest_plugin._guard
import ntt_loops.pytest_plugin._images
import ntt_loops.pytest_plugin._undo  # noqa: F401 - see above

if TYPE_CHECKING:
    import pytest


def outcomes(result: pytest.RunResult) -> dict[str, int]:
    """Return how many tests passed, failed and so on."""
    return result.parseoutcomes()


def left_behind(result: pytest.RunResult) -> dict[str, list[str]]:
    """Return the sentences on what was left, by the test that they are an error of; "" for the run as a whole."""
    found: dict[str, list[str]] = {}
    test, told = "", None
    for line in result.outlines:
        if title := re.fullmatch(r"_+ ERROR at teardown of (\S+) _+", line):
            test = title[1]
        elif line.endswith(" left behind:"):
            told = found.setdefault("" if line.startswith("the fixtures of this run") else test, [])
        elif told is not None and line.startswith("  "):
            told.append(line.strip())
        else:
            told = None
    return found
