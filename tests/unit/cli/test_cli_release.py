"""``ntt-loops release`` and what its arguments mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ntt_loops
from tests.unit.cli.conftest import HASH

if TYPE_CHECKING:
    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


@pytest.fixture
def device(kernel: MemoryKernel) -> ntt_loops.LoopDevice:  # noqa: ARG001 - it is of that
    """A kept device of the medium that is named by a hash."""
    return ntt_loops.attach_kept(f"{HASH}.img")


@pytest.mark.parametrize(
    "name", [HASH, HASH[:8], HASH[:15], HASH[:9].upper(), f"{HASH}.img", f"./{HASH}.img", "/dev/loop0"]
)
@pytest.mark.usefixtures("device")
def test_what_a_medium_can_be_called(cli: CommandLine, kernel: MemoryKernel, name: str) -> None:
    """By its id, by the beginning of it, by its image, by its device."""
    done = cli("release", name)
    assert done.status == 0
    assert done.out == f"released /dev/loop0 of {Path.cwd() / HASH}.img\n"
    assert kernel.bound_numbers() == []


@pytest.mark.parametrize("name", [HASH[:7], HASH[:16], HASH[:-1], "disk-1", "./nosuch.img"])
@pytest.mark.usefixtures("device")
def test_what_is_another_medium(cli: CommandLine, kernel: MemoryKernel, name: str) -> None:
    """Shorter or longer than a prefix it is a whole id: nothing of it is attached, which is no error."""
    assert cli("release", name) == (0, f"nothing of {name} was attached\n", "")
    assert kernel.bound_numbers() == [0]


@pytest.mark.usefixtures("device")
def test_a_prefix_of_nothing_names_what_there_is(cli: CommandLine) -> None:
    """Status 1: who writes a prefix means a medium that is there."""
    done = cli("release", "deadbeef")
    assert (done.status, done.out) == (1, "")
    assert "no medium whose id begins with deadbeef" in done.err
    assert HASH in done.err


def test_a_prefix_of_several_names_them(cli: CommandLine, kernel: MemoryKernel) -> None:
    """Neither is released."""
    media = [f"{HASH[:10]}{letter}{HASH[11:]}" for letter in "ab"]
    for medium in media:
        ntt_loops.attach_kept("disk-12.img", medium=medium)
    done = cli("release", HASH[:10])
    assert done.status == 1
    assert all(medium in done.err for medium in media)
    assert len(kernel.bound_numbers()) == 2


def test_a_whole_id_of_eight_digits_wins_over_what_it_begins(cli: CommandLine) -> None:
    """An id that is exactly so is meant."""
    ntt_loops.attach_kept("disk-12.img", medium="12345678")
    ntt_loops.attach_kept("disk-12.img", medium="123456789")
    assert cli("release", "12345678", "--json").json["targets"][0]["medium"] == "12345678"


def test_a_prefix_finds_what_losetup_made(cli: CommandLine, kernel: MemoryKernel) -> None:
    """No record, no tag: an image that is named by a hash is that medium."""
    kernel.attach_foreign(f"{HASH}.img")
    assert cli("release", HASH[:8]).status == 0
    assert kernel.bound_numbers() == []


def test_a_folder_of_that_name_is_not_meant(cli: CommandLine, device: ntt_loops.LoopDevice) -> None:
    """In /mnt/ntt each medium has one."""
    Path(device.medium).mkdir()
    assert "released" in cli("release", device.medium).out


def test_a_device_goes_alone(cli: CommandLine, kernel: MemoryKernel, device: ntt_loops.LoopDevice) -> None:
    """Whoever made it; its siblings stay."""
    foreign = kernel.attach_foreign(device.image)
    assert cli("release", f"/dev/loop{foreign}").status == 0
    assert kernel.bound_numbers() == [device.number]
    assert cli("release", f"/dev/loop{foreign}") == (0, f"nothing of /dev/loop{foreign} was attached\n", "")


def test_a_partition_is_refused(cli: CommandLine, kernel: MemoryKernel, device: ntt_loops.LoopDevice) -> None:
    """It says what to write."""
    done = cli("release", f"{device}p1")
    assert (done.status, kernel.bound_numbers()) == (1, [0])
    assert "name /dev/loop0" in done.err


def test_each_is_tried_and_the_worst_counts(
    cli: CommandLine, kernel: MemoryKernel, device: ntt_loops.LoopDevice
) -> None:
    """Busy, impossible and good, in any order."""
    busy = ntt_loops.attach_kept("disk-12.img")
    reader = kernel.open_elsewhere(busy.number, pid=4711, command="dd")
    done = cli("release", "--timeout", "0", "disk-12", device.medium)
    assert done.status == 75
    assert kernel.bound_numbers() == [busy.number]
    assert "dd (pid 4711) has /dev/loop1 open" in done.err
    assert "hint: ntt-loops why /dev/loop1" in done.err
    assert cli("release", "--timeout", "0", "disk-12", "deadbeef", device.medium).status == 1
    reader.close()
    assert cli("release", "disk-12").status == 0


def test_unmount_unmounts_first(cli: CommandLine, kernel: MemoryKernel, device: ntt_loops.LoopDevice) -> None:
    """A mount keeps it, until --unmount; of one device as of a medium."""
    for name in (device.medium, str(device)):
        again = ntt_loops.attach_kept(f"{HASH}.img") if not kernel.bound_numbers() else device
        kernel.mount(again.number, "/mnt/x")
        assert cli("release", "--timeout", "0", name).status == 75
        assert cli("release", "--unmount", name).status == 0
        assert kernel.bound_numbers() == []


def test_json_has_an_entry_for_each(cli: CommandLine, kernel: MemoryKernel, device: ntt_loops.LoopDevice) -> None:
    """A report, or an error with its facts; stdout is one document in any case."""
    busy = ntt_loops.attach_kept("disk-12.img")
    kernel.open_elsewhere(busy.number, pid=4711, command="dd")
    done = cli("release", "--json", "--timeout", "0", device.medium, "disk-12")
    good, bad = done.json["targets"]
    assert (good["target"], good["released"][0]["device"]) == (device.medium, str(device))
    assert (bad["target"], bad["error"], bad["holders"][0]["pid"]) == ("disk-12", "DeviceBusyError", 4711)
    assert done.status == 75
