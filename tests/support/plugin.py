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

#: What tests of the guard on real devices begin with.
HEAD = """
import os, subprocess, sys
from pathlib import Path
import pytest
from ntt_loops import Loops, attach_kept, attached, mount_medium, mounted, release_all

pytestmark = pytest.mark.usefixtures("no_loop_leaks")
kept = []

def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

def losetup(image, *options):
    return run("losetup", "-f", "--show", *(options or ("-r",)), image)

@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.img"
    path.write_bytes(bytes(range(256)) * 4096)
    return path

"""


def outcomes(result: pytest.RunResult) -> dict[str, int]:
    """Return how many tests passed, failed and so on."""
    return result.parseoutcomes()


def left_behind(result: pytest.RunResult) -> dict[str, list[str]]:
    """Return the sentences on what was left, by the test that they are an error of; "" for the run as a whole."""
    found: dict[str, list[str]] = {}
    test, told = "", None
    for line in result.outlines:
        if re.fullmatch(r"=+ short test summary info =+", line):  # where CI is set it has them once more
            break
        if title := re.fullmatch(r"_+ ERROR at teardown of (\S+) _+", line):
            test = title[1]
        elif line.endswith(" left behind:"):
            told = found.setdefault("" if line.startswith("the fixtures of this run") else test, [])
        elif told is not None and line.startswith("  "):
            told.append(line.strip())
        else:
            told = None
    return found


def bare(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the sentences without folders and numbers."""
    short = {name: [re.sub(r"/[^' ]*/test_\w+0/", "", line) for line in lines] for name, lines in told.items()}
    return {name: [re.sub(r"loop\d+", "loopN", line) for line in lines] for name, lines in short.items()}


def run_guarded(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Run tests on top of the head in this process, with ``base`` as temporary folder."""
    pytester.makepyfile(HEAD + tests)
    return pytester.runpytest("--basetemp", pytester.path / "base", *options)
