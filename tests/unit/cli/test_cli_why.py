"""``ntt-loops why``: the command at three in the morning."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest

import ntt_loops

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


def commands_of(out: str) -> list[str]:
    """Return the commands that it says, without the remarks."""
    lines = out.partition("To let it go:\n")[2].splitlines()
    return [line.partition("  # ")[0].strip() for line in lines]


def test_a_free_device_is_free(cli: CommandLine) -> None:
    """One sentence."""
    assert cli("why", "/dev/loop7") == (0, "/dev/loop7 is free: nothing is attached to it.\n", "")
    assert cli("why", "loop7", "--json").json == {
        "device": "/dev/loop7",
        "is_bound": False,
        "verdict": "/dev/loop7 is free: nothing is attached to it.",
        "commands": [],
    }


def test_an_idle_device_can_be_released(cli: CommandLine) -> None:
    """The command that does it works as it stands."""
    ntt_loops.attach_kept("disk-12.img")
    done = cli("why", "/dev/loop0")
    assert done.out.startswith("Nobody uses /dev/loop0: it can be released.\n")
    (command,) = commands_of(done.out)
    program, *arguments = shlex.split(command)
    assert (program, cli(*arguments).status) == ("ntt-loops", 0)
    assert ntt_loops.list_devices() == []


def test_a_reader_is_named(cli: CommandLine, kernel: MemoryKernel) -> None:
    """First the verdict, then what it is of and since when, then who, then what to do."""
    ntt_loops.attach_kept("disk-12.img")
    kernel.open_elsewhere(0, pid=4711, command="dd")
    done = cli("why", "/dev/loop0")
    assert done.out.splitlines()[0] == "/dev/loop0 is in use: dd (pid 4711) has /dev/loop0 open."
    assert "medium   disk-12\n" in done.out
    assert ", 0 s ago\n" in done.out
    assert commands_of(done.out) == ["kill 4711", "ntt-loops release /dev/loop0"]


def test_mounts_come_off_before_what_they_stand_on(cli: CommandLine, kernel: MemoryKernel) -> None:
    """The last one first; those of another namespace by nsenter; each quoted for a shell."""
    number = kernel.attach_foreign("disk-12.img")
    kernel.add_partition(number, 1, 512, 512)
    kernel.mount((number, 1), "/mnt/a b")
    kernel.mount((number, 1), "/mnt/a b/in'side")
    kernel.mount((number, 1), "/mnt/x", ours=False, pid=99)
    done = cli("why", "/dev/loop0p1")
    assert [shlex.split(command) for command in commands_of(done.out)] == [
        ["nsenter", "-t", "99", "-m", "umount", "/mnt/x"],
        ["umount", "/mnt/a b/in'side"],
        ["umount", "/mnt/a b"],
        ["ntt-loops", "release", "/dev/loop0"],
    ]


def test_who_works_on_a_mount_goes_before_it(cli: CommandLine, kernel: MemoryKernel) -> None:
    """Else umount would say that its target is busy; who has the device itself open is in nobody's way."""
    number = kernel.attach_foreign("disk-12.img")
    kernel.mount(number, "/mnt/x", busy=True)
    kernel.open_elsewhere(number, pid=4711, command="dd")
    assert commands_of(cli("why", "/dev/loop0").out) == [
        f"kill {os.getpid()}",
        "umount /mnt/x",
        "kill 4711",
        "ntt-loops release /dev/loop0",
    ]


def test_a_command_is_safe_to_see_and_right_to_run(cli: CommandLine, kernel: MemoryKernel) -> None:
    """What does not print is written so that bash reads it back."""
    kernel.attach_foreign("disk-12.img")
    kernel.mount(0, "/mnt/a\x1b[2J\n\udcff'b")
    done = cli("why", "/dev/loop0")
    assert "\x1b" not in done.out
    assert commands_of(done.out)[0] == r"umount $'/mnt/a\x1b[2J\x0a\xff\'b'"


def test_what_stands_on_top_is_released_by_us(cli: CommandLine, kernel: MemoryKernel) -> None:
    """Not by losetup -d, which says nothing about the outcome."""
    kernel.attach_foreign("disk-12.img")
    above = kernel.stack_loop(0)
    kernel.stack_dm(0, "vg-home")
    assert commands_of(cli("why", "/dev/loop0").out) == [
        "dmsetup remove vg-home",
        f"ntt-loops release /dev/loop{above}",
        "ntt-loops release /dev/loop0",
    ]


def test_a_scoped_device_goes_by_itself(cli: CommandLine) -> None:
    """Its owner is named as such, and nothing else is needed than that it ends."""
    with ntt_loops.attached("disk-12.img"):
        done = cli("why", "/dev/loop0")
    assert "belongs to a 'with' block or a run of" in done.out.splitlines()[0]
    assert "by itself with its last user" in done.out
    assert [command.split()[0] for command in commands_of(done.out)] == ["kill"]


def test_a_deleted_image_is_told(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """In the text and in JSON."""
    kernel.attach_foreign("disk-12.img")
    (tmp_path / "disk-12.img").unlink()
    assert "disk-12.img (deleted)\n" in cli("why", "/dev/loop0").out
    found = cli("why", "/dev/loop0", "--json").json
    assert (found["is_bound"], found["is_deleted"], found["state"]) == (True, True, "foreign")
    assert found["commands"] == ["ntt-loops release /dev/loop0"]


def test_a_stuck_device_is_told(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Its server does not answer."""
    kernel.attach_foreign(tmp_path / "disk-12.img")
    kernel.hang(tmp_path)
    done = cli("why", "/dev/loop0", "--timeout", "0.2")
    assert done.out.startswith("/dev/loop0 is stuck: the storage of its image does not answer.\n")
    kernel.unhang(tmp_path)


@pytest.mark.parametrize("name", ["/dev/sda", "disk-12.img", "/dev/loop", "7"])
def test_what_is_no_device(cli: CommandLine, name: str) -> None:
    """It says what one looks like."""
    done = cli("why", name)
    assert (done.status, done.out) == (1, "")
    assert "is no loop device" in done.err
