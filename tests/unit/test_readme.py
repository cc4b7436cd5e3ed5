"""What the README and the documents say is so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ntt_loops import DeviceBusyError, release_all
from ntt_loops._ledger import contents
from ntt_loops._ledger.contents import Kind
from ntt_loops._ledger.record import key_of, record_of
from ntt_loops.cli import main
from ntt_loops.cli.app import VERBS, app
from ntt_loops.testing import in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops.testing import MemoryKernel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PYTHON = blocks(README, "python")
SHELL = blocks(README, "sh")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKernel]:
    """A kernel in memory, an empty folder to be in, and one orphan that nobody uses and one that somebody does."""
    monkeypatch.chdir(tmp_path)
    with in_memory() as memory:
        for name in ("orphan.img", "used.img"):
            image = tmp_path / "elsewhere" / name
            image.parent.mkdir(exist_ok=True)
            image.write_bytes(bytes(4096))
            number = memory.attach_foreign(image)
            image.unlink()
        memory.open_elsewhere(number, pid=4711, command="reader")
        yield memory


def run(code: str) -> None:
    """Run an example."""
    exec(compile(code, str(ROOT / "README.md"), "exec"), {})  # noqa: S102 - it is our own


@pytest.mark.parametrize("code", [pytest.param(code, id=str(index)) for index, code in enumerate(PYTHON)])
@pytest.mark.usefixtures("kernel")
def test_every_python_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every example runs as it stands, and prints something."""
    run(code)
    assert capsys.readouterr().out


def test_first_example_has_twelve_lines_and_leaves_nothing(kernel: MemoryKernel, tmp_path: Path) -> None:
    """It is as short as its heading says, and neither image nor device is left."""
    before = kernel.bound_numbers()
    run(PYTHON[0])
    assert len([line for line in PYTHON[0].splitlines() if line]) <= 12
    assert kernel.bound_numbers() == before
    assert list(tmp_path.glob("*.img")) == []


def test_unlink_of_the_first_example_never_runs_while_a_device_is_in_use(kernel: MemoryKernel, tmp_path: Path) -> None:
    """The line before the unlink raises."""
    image = tmp_path / "536a933b4481f605fcd44615740a9025.img"
    image.write_bytes(bytes(4096))
    kernel.open_elsewhere(kernel.attach_foreign(image))
    with pytest.raises(DeviceBusyError):
        release_all(image, timeout=0)
    assert image.exists()


def command_lines() -> list[list[str]]:
    """Return the words of each ``ntt-loops`` in a shell block."""
    lines = [line.partition("ntt-loops ")[2] for block in SHELL for line in block.splitlines() if "ntt-loops " in line]
    return [shlex.split(line.replace(")", " #"), comments=True) for line in lines]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_is_understood(words: list[str]) -> None:
    """Each verb and option is there."""
    verb, *arguments = words
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    assert command.make_context(verb, arguments).params


def test_every_verb_is_shown() -> None:
    """Whoever reads the README has seen each."""
    assert {words[0] for words in command_lines()} == set(VERBS)


def test_the_sweep_of_the_host_is_one_command(kernel: MemoryKernel, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the orphan and who uses the other, and changes nothing."""
    before = kernel.bound_numbers()
    (words,) = [words for words in command_lines() if words[0] == "sweep"]
    assert main(words) == 0
    would, keeps, *_, total = capsys.readouterr().out.splitlines()
    assert would.startswith("would release /dev/loop")
    assert "orphan.img" in would
    assert "used.img: in use, reader (pid 4711)" in keeps
    assert "4 KiB would come back" in total
    assert kernel.bound_numbers() == before


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_that_are_named_exist(document: Path) -> None:
    """No document names a make target that is not there."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"^    make ([a-z]+)|`make ([a-z]+)", text, re.MULTILINE))
    assert {first or second for first, second in named} <= targets


def test_the_two_commands_come_first() -> None:
    """Whoever opens the README sees what to run before any heading but the title."""
    head = README.split("\n## ")[0]
    assert re.findall(r"^    make (\w+)", head, re.MULTILINE) == ["demo", "test"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every link within the repository leads to a file."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    """Every path of this repository in code style is one."""
    named = re.findall(r"`((?:src|tests|docs|examples)/[\w./-]+)`", document.read_text(encoding="utf-8"))
    is_checkout = (ROOT / "src").exists()  # not where the package was installed from a wheel
    there = [path for path in named if is_checkout or not path.startswith("src/")]
    assert [path for path in there if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_kernel_facts_that_are_cited_exist(document: Path) -> None:
    """Every F-number stands in docs/kernel-facts.md."""
    facts = set(re.findall(r"\*\*(F\d+)\.", (ROOT / "docs" / "kernel-facts.md").read_text(encoding="utf-8")))
    assert set(re.findall(r"\bF\d+\b", document.read_text(encoding="utf-8"))) <= facts


LEDGER = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
MEDIUM = "536a933b4481f605fcd44615740a9025"
BOOT_ID = "0e7ce2cf-acae-4a08-87a6-dffc62f96af8"


def test_ledger_example_is_read_as_the_text_says() -> None:
    """The documented file is a good one, and one entry is left of it: disowned, on /dev/loop17."""
    found = contents.read(blocks(LEDGER, "json")[0].encode(), MEDIUM, BOOT_ID)
    assert found.kind is Kind.GOOD
    (entry,) = found.entries.values()
    assert (entry.number, entry.lifetime, entry.owner) == (17, "scoped", None)


def test_ledger_example_is_what_the_library_writes() -> None:
    """Every documented line is, byte by byte, what the code writes for the same facts."""
    header, *lines = blocks(LEDGER, "json")[0].encode().splitlines(keepends=True)
    assert contents.header(MEDIUM, BOOT_ID) == header
    assert [written_again(line) for line in lines] == lines


def written_again(line: bytes) -> bytes:
    """Read a line and write it."""
    facts = json.loads(line)
    if facts["event"] == "attached":
        return contents.attached(record_of(facts))
    return contents.event(facts["event"], key_of(facts))
