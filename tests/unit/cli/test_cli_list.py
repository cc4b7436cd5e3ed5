"""``ntt-loops list``."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import ntt_loops
from ntt_loops.cli import watching
from ntt_loops.cli.output import Cell
from tests.unit.cli.conftest import HASH

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


def test_every_state_is_told(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Kept, scoped, foreign, deleted, and who holds it; piped, each device is one line."""
    kept = ntt_loops.attach_kept(f"{HASH}.img")
    gone = tmp_path / "gone.img"
    gone.write_bytes(bytes(512))
    foreign = kernel.attach_foreign(gone)
    gone.unlink()
    kernel.open_elsewhere(foreign, pid=4711, command="dd")
    with ntt_loops.attached("disk-12.img") as scoped:
        done = cli("list")
    header, *lines = done.out.splitlines()
    assert header.split() == ["MEDIUM", "DEVICE", "STATE", "SIZE", "AGE", "HELD", "BY", "IMAGE"]
    rows = {line.split()[1]: line for line in lines}
    assert rows[str(kept)].split()[0:5] == [HASH, str(kept), "kept", "4", "KiB"]
    assert "nobody" in rows[str(kept)]
    assert rows[str(scoped)].split()[2] == "scoped"
    assert rows[f"/dev/loop{foreign}"].split()[0:3] == ["-", f"/dev/loop{foreign}", "foreign,deleted"]
    assert rows[f"/dev/loop{foreign}"].split()[-4:] == ["dd", "(pid", "4711)", str(gone)]


def test_a_device_that_goes_with_its_mounts_is_mounted(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """What ``mount`` left is neither scoped nor kept."""
    kernel.format("disk-12.img", "ext4")
    assert cli("mount", "disk-12.img", "--root", tmp_path / "mnt").status == 0
    (medium,) = cli("list", "--json").json["media"]
    assert [one["state"] for one in medium["devices"]] == ["mounted"]


def test_json_has_media_and_others(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Devices of a medium below its id, those of none apart; all facts of each."""
    ntt_loops.attach_kept("disk-12.img")
    same = kernel.attach_foreign(tmp_path / "disk-12.img")
    (tmp_path / "x.img").write_bytes(bytes(512))
    other = kernel.attach_foreign(tmp_path / "x.img")
    found = cli("list", "--json").json
    (medium,) = found["media"]
    assert [one["state"] for one in medium["devices"]] == ["kept", "foreign"]
    assert medium["devices"][1]["device"] == f"/dev/loop{same}"
    (one,) = found["others"]
    assert (one["device"], one["medium"], one["holders"]) == (f"/dev/loop{other}", None, [])


def test_nothing_is_nothing(cli: CommandLine) -> None:
    """For a script no line means no device."""
    assert cli("list") == (0, "", "")
    assert cli("list", "--json").json == {"media": [], "others": []}


def test_names_cannot_forge_lines_or_reach_the_terminal(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Escapes, newlines and bytes that are no UTF-8, of files and commands, are made visible; JSON keeps them."""
    image = tmp_path / "a\x1b[31m\n\udcff\u202e.img"
    image.write_bytes(bytes(512))
    kernel.open_elsewhere(kernel.attach_foreign(image), pid=4711, command="d\x1bd\n")
    out = cli("list").out
    assert out.count("\n") == 2
    assert "a\\x1b[31m\\n\\xff\\u202e.img" in out
    assert "d\\x1bd\\n (pid 4711)" in out
    assert "\x1b" not in out
    done = cli("list", "--json")
    assert done.out.isascii()
    assert done.json["others"][0]["image"] == str(image)


@pytest.mark.parametrize("arguments", [["--watch"], ["--watch", "5s"], ["--watch", "1", "--json"]])
def test_watching_is_for_a_terminal(cli: CommandLine, arguments: list[str]) -> None:
    """A pipe would never end; misuse says what to do."""
    done = cli("list", *arguments)
    assert (done.status, done.out) == (2, "")
    assert "--watch is for a terminal" in done.err


def test_a_watched_list_takes_a_time(cli: CommandLine) -> None:
    """Not a word."""
    done = cli("list", "--watch", "often")
    assert (done.status, "'often' is no time" in done.err) == (2, True)


def test_watching_takes_a_fifth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes a second is made every five; what has no room on the screen is counted."""
    moments, pauses, shown = iter([10.0, 11.0, 20.0, 20.001]), [], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    def look() -> list[list[Cell]]:
        shown.append(1)
        return [[Cell(f"line {number}")] for number in range(100)]

    # Not those of the module time: rich would be imported now, and keep them.
    clock = SimpleNamespace(monotonic=lambda: next(moments), sleep=pause, strftime=time.strftime)
    monkeypatch.setattr(watching, "time", clock)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(look, 0.0)
    assert pauses == [4.0, 0.2]
    assert len(shown) == 2
    lines = watching._fitting(look(), 24, 2.0)
    assert len(lines) == 24
    assert lines[-1] == [Cell("... and 78 lines more", "dim")]
