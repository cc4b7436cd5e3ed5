"""``ntt-loops sweep``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ntt_loops

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


@pytest.fixture
def orphans(kernel: MemoryKernel, tmp_path: Path) -> list[int]:
    """Two orphans that somebody else made; the second one is in use."""
    numbers = []
    for name in ("orphan.img", "used.img"):
        image = tmp_path / "elsewhere" / name
        image.parent.mkdir(exist_ok=True)
        image.write_bytes(bytes(4096))
        numbers.append(kernel.attach_foreign(image))
        image.unlink()
    kernel.open_elsewhere(numbers[1], pid=4711, command="reader")
    return numbers


def test_dry_run_only_tells(cli: CommandLine, kernel: MemoryKernel, orphans: list[int]) -> None:
    """What would go, what would stay and why, and how much would come back; status 0 though one is in use."""
    done = cli("sweep", "--system", "--dry-run")
    would, kept, *saved, total = done.out.splitlines()
    assert [line.split()[:6] for line in saved] == [
        ["deleted", "by", "mistake?", "ntt-loops", "rescue", f"/dev/loop{number}"] for number in orphans
    ]
    assert would.startswith(f"would release /dev/loop{orphans[0]} of ")
    assert kept.endswith("used.img: in use, reader (pid 4711)")
    assert total == "would release 1 device, kept 1, 4 KiB would come back"
    assert (done.status, done.err) == (0, "")
    assert kernel.bound_numbers() == orphans


def test_by_default_only_our_own(cli: CommandLine, kernel: MemoryKernel, orphans: list[int]) -> None:
    """Somebody else's orphans need an option."""
    assert cli("sweep").status == 0
    assert kernel.bound_numbers() == orphans


@pytest.mark.parametrize("option", ["--system", "--under"])
def test_sweeping_keeps_what_is_in_use(
    cli: CommandLine, kernel: MemoryKernel, orphans: list[int], tmp_path: Path, option: str
) -> None:
    """That is no error."""
    folder = ["/nonexistent", "--under", str(tmp_path)] if option == "--under" else []
    done = cli("sweep", option, *folder, "--json")
    assert done.status == 0
    assert [one["device"] for one in done.json["released"]] == [f"/dev/loop{orphans[0]}"]
    assert [one["reason"] for one in done.json["kept"]] == ["in use"]
    assert kernel.bound_numbers() == orphans[1:]


def test_kept_devices_go_by_age(cli: CommandLine, kernel: MemoryKernel) -> None:
    """Only where an age is given, with or without a unit."""
    ntt_loops.attach_kept("disk-12.img")
    assert cli("sweep", "--kept-older-than", "7d", "--json").json["kept"][0]["reason"] == "too young"
    assert cli("sweep", "--kept-older-than", "0", "--json").json["released"] != []
    assert kernel.bound_numbers() == []


def test_a_problem_is_an_error(cli: CommandLine, kernel: MemoryKernel, orphans: list[int], tmp_path: Path) -> None:
    """What was written through a device and is lost: somebody must get to know."""
    number = kernel.attach_foreign("disk-12.img", read_only=False)
    kernel.fail_flush(number)
    (tmp_path / "disk-12.img").unlink()
    done = cli("sweep", "--system")
    assert done.status == 1
    assert "may not be in" in done.err
    assert kernel.bound_numbers() == orphans[1:]
