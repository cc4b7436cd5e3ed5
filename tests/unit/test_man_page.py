"""The manual page has every verb and option of the command line, and no others."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ntt_loops.cli.app import app
from ntt_loops.cli.exits import Exit
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "man" / "ntt-loops.8"
TEXT = PAGE.read_text(encoding="ascii")
CONTEXT = click.Context(app)
VERBS = app.list_commands(CONTEXT)


def section(name: str) -> str:
    """Return a section, with its subsections."""
    return TEXT.split(f"\n.Sh {name}\n")[1].split("\n.Sh ")[0]


def subsection(name: str) -> str:
    """Return a subsection of the description."""
    return section("DESCRIPTION").split(f"\n.Ss {name}\n")[1].split("\n.Ss ")[0]


def synopsis(verb: str) -> str:
    """Return a verb's lines in the synopsis."""
    return section("SYNOPSIS").split(f".Cm {verb}\n")[1].split(".Nm\n")[0]


def options_in(text: str) -> set[str]:
    """Return the options that a text marks as such."""
    marked = re.findall(r"^\.(?:Op |It )?Fl (.*)$", text, re.MULTILINE)
    return {f"-{name}" for line in marked for name in re.findall(r"(?:^|Fl )(-?[a-z-]+)", line)}


def options_of(command: click.Command) -> set[str]:
    """Return the options of a verb, but for those that print help."""
    return {name for one in command.params if isinstance(one, click.Option) for name in one.opts}


def verb(name: str) -> click.Command:
    """Return a verb."""
    found = app.get_command(CONTEXT, name)
    assert found is not None
    return found


def test_every_verb_is_there_and_no_other() -> None:
    """Both the synopsis and the description go through the verbs in the order of --help."""
    assert re.findall(r"^\.Nm\n\.Cm (\w+)$", section("SYNOPSIS"), re.MULTILINE) == VERBS
    assert re.findall(r"^\.Ss (\w+)$", section("DESCRIPTION"), re.MULTILINE) == VERBS


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_there_and_no_other(name: str) -> None:
    """A verb has in the synopsis, and again in its own part, just the options that it takes."""
    options = options_of(verb(name))
    assert options_in(synopsis(name)) == options
    assert options_in(subsection(name)) == options


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_explained(name: str) -> None:
    """It is so in the verb's own part, in that of run for attach, or with those of every verb."""
    where = [subsection(name), subsection("Options of every verb"), *([subsection("run")] if name == "attach" else [])]
    assert options_of(verb(name)) <= set().union(*map(explained_in, where))


def explained_in(text: str) -> set[str]:
    """Return the options that have a paragraph of their own."""
    return options_in("\n".join(re.findall(r"^\.It Fl .*$", text, re.MULTILINE)))


def test_options_without_a_verb_are_explained() -> None:
    """These print help and the version."""
    helps = app.get_help_option(CONTEXT)
    assert helps is not None
    assert {*helps.opts, *options_of(app)} <= explained_in(subsection("Options of every verb"))


def test_operands_are_there() -> None:
    """What a verb takes beside options stands in its synopsis, marked as such."""
    for name in VERBS:
        for one in verb(name).params:
            if isinstance(one, click.Argument):
                words = set(re.findall(r"[A-Z]{2,}", one.make_metavar(CONTEXT)))
                assert words <= set(re.findall(r"\b[A-Z]{2,}\b", synopsis(name))), name


def test_default_times_are_those_of_the_program() -> None:
    """10 seconds, 30 and 120: the sentence that says so is right."""
    defaults = {name: one.default for name in VERBS for one in verb(name).params if one.name == "timeout"}
    others = {"unmount": 30.0, "mount": 120.0}
    assert defaults == {name: others.get(name, 10.0) for name in VERBS}
    said = " ".join(subsection("Options of every verb").split())
    assert "10 seconds by default, 30 for .Cm unmount and 120 for .Cm mount" in said


def test_every_exit_status_is_explained() -> None:
    """Those of run, too."""
    numbers = {int(number) for number in re.findall(r"\b\d+\b", section("EXIT STATUS"))}
    assert {int(one) for one in Exit} <= numbers


def test_every_variable_is_explained() -> None:
    """No variable of the environment is used in silence."""
    used = {name for file in sources() for name in re.findall(r"\bNTT_LOOPS_[A-Z_]+\b", file)}
    assert used <= set(re.findall(r"^\.It Ev (\w+)$", section("ENVIRONMENT"), re.MULTILINE))


def sources() -> Iterable[str]:
    """Yield the text of each module of the library."""
    return (path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["mandoc", "-Tlint"], id="mandoc"),
        pytest.param(["groff", "-ww", "-mandoc", "-z"], id="groff"),
        pytest.param(["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"], id="man"),
    ],
)
def test_formatters_have_no_complaint(command: list[str]) -> None:
    """None of the programs that show it finds anything wrong."""
    tool, *options = command
    done = subprocess.run([require_tool(tool), *options, PAGE], capture_output=True, text=True, check=False)
    said = done.stderr + (done.stdout if tool == "mandoc" else "")
    # The other one is about a database of installed pages.
    complaints = [line for line in said.splitlines() if not line.startswith("mandoc: outdated mandoc.db")]
    assert (done.returncode, complaints) == (0, [])


def test_mandoc_finds_a_mistake(tmp_path: Path) -> None:
    """The check above sees something."""
    wrong = tmp_path / "wrong.8"
    wrong.write_text(TEXT.replace(".Sh FILES\n", ".Sh FILES\n.Nosuch macro\n"), encoding="ascii")
    done = subprocess.run([require_tool("mandoc"), "-Tlint", wrong], capture_output=True, text=True, check=False)
    assert "Nosuch" in done.stdout + done.stderr
