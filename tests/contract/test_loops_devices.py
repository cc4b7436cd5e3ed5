"""Listing the host's devices and releasing one by its path, on every kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support.media import new_hash, new_id

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import DeviceState
    from tests.support.world import World

HASH = new_hash()
ONE, OTHER = new_id(), new_id()


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


def state_of(loops: Loops, number: int) -> DeviceState:
    """Return what is said of one device, which is the same alone and among all."""
    (alone,) = loops.list_devices(f"/dev/loop{number}")
    (among_all,) = [one for one in loops.list_devices() if one.device == alone.device]
    assert (alone.medium, alone.made_by, alone.image) == (among_all.medium, among_all.made_by, among_all.image)
    return alone


def test_every_device_says_what_it_is_of(world: World, loops: Loops) -> None:
    """Kept, scoped, foreign on the same image, foreign named by a hash, and one of no medium."""
    image, other = world.image(), world.image()
    hashed = world.image().rename(world.folder / f"{HASH}.img")
    kept = loops.attach_kept(image, medium=ONE)
    same, named, copy = (world.attach_foreign(one) for one in (image, hashed, other))
    with loops.attached(other, medium=OTHER) as scoped:
        found = {number: state_of(loops, number) for number in (kept.number, scoped.number, same, named, copy)}
    assert {number: (one.medium, one.made_by) for number, one in found.items()} == {
        kept.number: (ONE, "kept"),
        scoped.number: (OTHER, "scoped"),
        same: (ONE, "foreign"),
        named: (HASH, "foreign"),
        copy: (OTHER, "foreign"),
    }
    assert (found[kept.number].is_armed, found[scoped.number].is_armed) == (False, True)
    assert [one.kind for one in found[scoped.number].holders] == ["process"]
    assert found[kept.number].holders == ()


def test_a_device_of_no_medium(world: World, loops: Loops) -> None:
    """Nobody here knows its image, and its name is no hash."""
    assert state_of(loops, world.attach_foreign(world.image())).medium is None


def test_what_is_not_bound_is_not_listed(world: World, loops: Loops) -> None:
    """Asked for one device that is free, the answer is empty."""
    assert loops.list_devices(f"/dev/loop{world.new_number()}") == []


def test_a_device_is_released_by_its_path_whoever_made_it(world: World, loops: Loops) -> None:
    """Only that one, though others are of the same image; again, nothing is left to do."""
    image = world.image()
    kept = loops.attach_kept(image, medium=ONE)
    foreign, other = world.attach_foreign(image), world.attach_foreign(image)
    report = loops.release(f"/dev/loop{foreign}")
    assert [(one.device, one.image, one.found_by) for one in report.released] == [
        (f"/dev/loop{foreign}", image, "device")
    ]
    (own,) = loops.release(os.fspath(kept)).released
    assert own.found_by == "ledger"
    assert loops.release(kept).released == ()
    assert loops.list_media(ONE) == []
    found = world.kernel.look(other)
    assert found is not None
    loops.release(f"/dev/loop{other}")


def test_a_busy_device_is_not_released_by_its_path(world: World, loops: Loops) -> None:
    """A reader keeps it, and is named."""
    number = world.attach_foreign(world.image())
    world.open(number)
    with pytest.raises(DeviceBusyError) as caught:
        loops.release(f"/dev/loop{number}", timeout=0)
    assert [one.device for one in caught.value.holders] == [f"/dev/loop{number}"]
    assert world.kernel.is_bound(number)


def test_a_living_block_is_not_released_by_its_path(world: World, loops: Loops) -> None:
    """Its owner is named."""
    with loops.attached(world.image(), medium=ONE) as device:
        with pytest.raises(DeviceBusyError) as caught:
            loops.release(str(device), timeout=0)
        assert [one.kind for one in caught.value.holders] == ["owner"]


def test_a_partition_is_not_released(loops: Loops) -> None:
    """It names the disk that it is of."""
    with pytest.raises(ValueError, match=r"/dev/loop7p1 is a partition.* name /dev/loop7$"):
        loops.release("/dev/loop7p1")
    with pytest.raises(ValueError, match="no loop device"):
        loops.release("/dev/sda")
