"""Arguments that make no sense: status 2, a sentence, and nothing done."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ntt_loops.cli.app import VERBS

if TYPE_CHECKING:
    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine

TIMES = ["-1", "soon", "1 year", "nan", "inf", "", "1e3"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["--frobnicate"],
        ["list", "extra"],
        ["attach"],
        ["attach", ""],
        ["attach", "a.img", "b.img"],
        ["attach", "disk-12.img", "--offset", "-1"],
        ["attach", "disk-12.img", "--offset", "many"],
        ["attach", "disk-12.img", "--read-only"],
        ["attach", "disk-12.img", "--medium", ""],
        ["release"],
        ["release", ""],
        ["release", "disk-12", ""],
        ["sweep", "disk-12"],
        ["sweep", "--under"],
        ["sweep", "--under", ""],
        ["mount"],
        ["mount", ""],
        ["mount", "disk-12.img", "--root", ""],
        ["unmount"],
        ["unmount", ""],
        ["unmount", "a", "b"],
        ["why"],
        ["why", ""],
        ["run"],
        ["run", "disk-12.img"],
        ["run", "disk-12.img", "--"],
        ["run", "disk-12.img", "blkid", "-p", "{}"],
        *(["attach", "disk-12.img", "--timeout", time] for time in TIMES),
        *(["sweep", "--kept-older-than", time] for time in TIMES),
    ],
    ids=" ".join,
)
def test_misuse_is_status_2(cli: CommandLine, kernel: MemoryKernel, arguments: list[str]) -> None:
    """It says so on stderr, with what would be right, and does nothing."""
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Error: " in done.err
    assert "Traceback" not in done.err
    assert kernel.bound_numbers() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["attach", "disk-12.img", "--medium", "a/b"],
        ["mount", "disk-12.img", "--medium", ".."],
        ["run", "disk-12.img", "--medium", "a/b", "--", "true"],
        ["release", ".."],
        ["unmount", "."],
    ],
    ids=" ".join,
)
def test_an_id_that_cannot_be_one(cli: CommandLine, kernel: MemoryKernel, arguments: list[str]) -> None:
    """The library's own error, as a sentence."""
    done = cli(*arguments)
    assert (done.status, done.out) == (1, "")
    assert "cannot be a medium's id" in done.err
    assert kernel.bound_numbers() == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(cli: CommandLine, verb: str) -> None:
    """Within 80 columns."""
    done = cli(verb, "--help")
    assert done.status == 0
    assert "--json" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_help_is_within_80_columns_and_has_every_verb(cli: CommandLine) -> None:
    """With -h as well."""
    done = cli("-h")
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(f"\n  {verb} " in done.out for verb in VERBS)


@pytest.mark.parametrize(
    ("package", "verb", "extra"),
    [("click", "list", "cli"), ("rich", "list", "cli"), ("prometheus_client", "metrics", "cli,metrics")],
)
def test_without_the_extra_it_says_how_to_get_it(package: str, verb: str, extra: str) -> None:
    """One sentence, no traceback, status 1."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.stdout.isatty = lambda: True\n"
        "from ntt_loops.cli import main; from ntt_loops.testing import in_memory\n"
        f"with in_memory(): sys.exit(main([{verb!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"needs {package}" in done.stderr
    assert f"pipx install 'ntt-loops[{extra}]'" in done.stderr


def test_the_module_is_the_command() -> None:
    """``python -m ntt_loops`` does the same, and calls itself the same."""
    done = subprocess.run([sys.executable, "-m", "ntt_loops", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ntt-loops ")
