"""``ntt-loops rescue``, and where else it is spoken of."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

import ntt_loops

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine

DATA = b"data" * 1024


@pytest.fixture
def orphan(kernel: MemoryKernel, tmp_path: Path) -> Path:  # noqa: ARG001 - it is attached there
    """The path of a deleted image with a tail, on /dev/loop0."""
    image = tmp_path / "oh no.img"
    image.write_bytes(DATA + b"tail")
    ntt_loops.attach_kept(image)
    image.unlink()
    return image


def test_it_says_what_came_back_and_what_did_not(cli: CommandLine, orphan: Path) -> None:
    """The file, its digest, and the lost bytes by their place."""
    done = cli("rescue", "/dev/loop0", orphan)
    first, digest, still = done.out.splitlines()
    assert first == f"rescued {orphan}: 4 KiB, 4 KiB of them not zero"
    assert digest.startswith("sha256 ")
    assert still == "the device still has it: ntt-loops release /dev/loop0"
    assert f"of {orphan} is not in it what was from byte 4096 to 4100: " in done.err
    assert (done.status, orphan.read_bytes()) == (0, DATA)


def test_of_a_writable_device_the_holders_are_named(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Who may write later."""
    image = tmp_path / "disk-12.img"
    kernel.open_elsewhere(kernel.attach_foreign(image, read_only=False), pid=4711, command="dd")
    image.unlink()
    done = cli("rescue", "/dev/loop0", "back.img")
    assert "/dev/loop0 can be written to, and dd (pid 4711) has /dev/loop0 open" in done.err
    assert "from byte 4096 on: up to 511 bytes" in done.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["/dev/loop7", "back.img"], 1, "nothing is attached to /dev/loop7"),
        (["/dev/loop0", "disk-12.img"], 1, "is there already"),
        (["/dev/loop0p1", "back.img"], 1, "is a partition"),
        (["disk-12.img", "back.img"], 1, "is no loop device"),
        (["/dev/loop0", ""], 2, "it may not be empty"),
        (["/dev/loop0"], 2, "Missing argument 'FILE'"),
    ],
)
@pytest.mark.usefixtures("orphan")
def test_what_makes_no_sense_is_said(cli: CommandLine, arguments: list[str], status: int, said: str) -> None:
    """And nothing is written."""
    done = cli("rescue", *arguments)
    assert (done.status, said in done.err) == (status, True)


def test_a_device_that_is_written_to_is_busy(
    cli: CommandLine, kernel: MemoryKernel, orphan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """75: later it may work."""
    readings = iter([DATA, DATA[::-1], DATA])
    monkeypatch.setattr(type(kernel), "read", lambda *_: next(readings))
    done = cli("rescue", "/dev/loop0", orphan)
    assert (done.status, orphan.exists()) == (75, False)
    assert "somebody writes to it" in done.err


def test_a_part_needs_a_word(cli: CommandLine, tmp_path: Path) -> None:
    """--part."""
    cli("attach", "disk-12.img", "--offset", "512")
    (tmp_path / "disk-12.img").unlink()
    refused = cli("rescue", "/dev/loop0", "back.img", "--json")
    assert (refused.status, refused.json["error"]) == (1, "RescueError")
    assert cli("rescue", "/dev/loop0", "back.img", "--part", "--json").json["size_bytes"] == 3584


@pytest.mark.parametrize("verb", [["sweep", "--dry-run"], ["why", "/dev/loop0"]], ids=["sweep", "why"])
def test_the_command_is_shown_where_it_helps(cli: CommandLine, orphan: Path, verb: list[str]) -> None:
    """In one piece, and it works as it stands."""
    (line,) = [one for one in cli(*verb).out.splitlines() if "ntt-loops rescue" in one]
    _, *arguments = shlex.split(line[line.index("ntt-loops rescue") :])
    assert cli(*arguments).status == 0
    assert orphan.with_name("oh no.img.rescued").read_bytes() == DATA


def test_nothing_is_said_of_it_where_nothing_is_deleted(cli: CommandLine) -> None:
    """A living image needs no rescue."""
    cli("attach", "disk-12.img")
    assert "rescue" not in cli("why", "/dev/loop0").out + cli("sweep", "--dry-run").out
    assert cli("why", "/dev/loop0", "--json").json["rescue"] is None
