"""The command line on a terminal of 80 columns."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.terminal import COLUMNS, CTRL_C, NTT_LOOPS, ntt_loops, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image named by a hash that no other test run has."""
    return make_image(tmp_path / f"{uuid.uuid4().hex}.img", size_bytes=2**20)


@pytest.fixture
def device(image: Path) -> Iterator[str]:
    """A device of it, made by losetup."""
    made = oracle.losetup_attach(image)
    yield made
    assert ntt_loops("release", "--timeout", "5", made).returncode == 0


def test_list_is_a_table_in_colour_and_nothing_is_cut(image: Path, device: str) -> None:
    """A heading for the medium; the row of its device has all columns."""
    with reader(device) as process, terminal(NTT_LOOPS, "list") as screen:
        assert screen.end() == 0
        assert "\x1b[" in screen.raw
        lines = screen.shown.splitlines()
        at = lines.index(image.stem)
        assert lines[at + 1] == f"  {image}"
        assert re.fullmatch(rf"  {device} +foreign +1 MiB +- +\w+ \(pid {process.pid}\)", lines[at + 2])
        assert len(lines[at + 2]) <= COLUMNS
        assert "…" not in screen.shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
@pytest.mark.usefixtures("device")
def test_colours_can_be_off(environment: dict[str, str]) -> None:
    """No colour where it is not wanted, or not understood."""
    with terminal(NTT_LOOPS, "list", **environment) as screen:
        assert screen.end() == 0
        assert re.findall(r"\x1b\[(?:[0-9;]*;)?[349][0-7]", screen.raw) == []


def test_what_it_shows_is_no_escape_of_others(tmp_path: Path) -> None:
    """A file name that would clear the screen is shown as what it is."""
    image = make_image(tmp_path / "x\x1b[2J\n.img", fs=None, size_bytes=2**16)
    device = oracle.losetup_attach(image)
    for verb in (["list"], ["why", device], ["release", device]):
        with terminal(NTT_LOOPS, *verb) as screen:
            assert screen.end() == 0
            assert "\x1b[2J" not in screen.raw
            assert "x\\x1b[2J\\n.img" in screen.shown
    assert oracle.bound_devices(image) == []


def test_why_shows_a_command_in_one_piece(image: Path, device: str, tmp_path: Path) -> None:
    """However long: it is not wrapped, so that it can be copied."""
    point = tmp_path / ("long " * 20).strip() / "point"
    point.mkdir(parents=True)
    oracle.run("mount", "-o", "ro,noload", device, point)
    with terminal(NTT_LOOPS, "why", device) as screen:
        assert screen.end() == 0
        assert screen.shown.startswith(f"{device} is in use: {device} is mounted at {point}.\n")
        assert f"\n  umount '{point}'\n  ntt-loops release {device}\n" in screen.shown
    oracle.run("umount", point)
    assert oracle.bound_devices(image) == [device]


def test_after_a_second_it_says_for_whom_it_waits(image: Path) -> None:
    """One line, with the process and the device; and it goes on as soon as that ends."""
    device = oracle.losetup_attach(image)
    with reader(device) as process, terminal(NTT_LOOPS, "release", "--timeout", "99", device) as screen:
        screen.wait_for("up to")
        process.let_go()
        assert screen.end() == 0
        line = rf"waiting for pid {process.pid} \(sh\), which has {device} open, up to \d\d s\n"
        assert re.search(line, screen.shown), screen.shown
        assert screen.shown.count("waiting") == 1
    assert oracle.bound_devices(image) == []


def test_nobody_is_told_without_a_terminal(device: str) -> None:
    """Only the outcome."""
    with reader(device):
        done = ntt_loops("release", "--timeout", "1.5", device)
    assert done.returncode == 75
    assert "waiting" not in done.stdout + done.stderr


def test_ctrl_c_while_it_waits(device: str) -> None:
    """130, and the device is as it was."""
    with reader(device), terminal(NTT_LOOPS, "release", "--timeout", "60", device) as screen:
        screen.wait_for("waiting for pid")
        screen.send(CTRL_C)
        assert screen.end() == 130
        assert screen.shown.endswith("ntt-loops: interrupted\n")
        (row,) = [one for one in oracle.losetup_list() if one["name"] == device]
        assert row["autoclear"] is False


def test_a_watched_list_shows_what_comes_and_goes(tmp_path: Path) -> None:
    """Without being called again; Ctrl-C ends it with 130, and the screen is what it was before."""
    # Ids that are the first of a list, whatever else is on this machine.
    names = [f"00000000{uuid.uuid4().hex[8:]}" for _ in range(2)]
    images = [make_image(tmp_path / f"{name}.img", fs=None, size_bytes=2**16) for name in names]
    with terminal(NTT_LOOPS, "list", "--watch", "0.2") as screen:
        screen.wait_for("every 0.2 s; Ctrl-C ends it")
        for image in images:
            device = oracle.losetup_attach(image)
            screen.wait_for(image.stem)
            assert ntt_loops("release", device).returncode == 0
        screen.send(CTRL_C)
        assert screen.end() == 130
        assert screen.raw.count("\x1b[?1049h") == screen.raw.count("\x1b[?1049l") == 1
