"""Partitions: their list, their end, and what outlives a detach."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support import oracle
from tests.support.rig import fails_with
from tests.support.world import PLAIN

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

SECTOR = 512
WITHOUT_PARTSCAN = LoopConfig(b"", partscan=False)


@pytest.fixture
def _leftovers(world: World) -> None:
    if not world.keeps_leftovers:
        pytest.skip("this kernel drops the partitions that an image left at the next open of the device")


def numbers(kernel: Kernel, number: int) -> list[int]:
    """Return the partitions' numbers."""
    return [one.number for one in kernel.partitions(number)]


def test_partitions_are_listed_by_number(world: World, kernel: Kernel) -> None:
    """Each has its name, place, size and a device number of its own."""
    one = world.attach()
    world.add_partition(one.number, 11, 16 * SECTOR, 4 * SECTOR)
    world.add_partition(one.number, 2, 32 * SECTOR, SECTOR)
    second, eleventh = kernel.partitions(one.number)
    assert (second.number, second.name) == (2, f"loop{one.number}p2")
    assert (eleventh.number, eleventh.name) == (11, f"loop{one.number}p11")
    assert (eleventh.start_bytes, eleventh.size_bytes) == (16 * SECTOR, 4 * SECTOR)
    assert len({second.rdev, eleventh.rdev, kernel.rdev(one.number)}) == 3


def test_deleted_partition_is_gone(world: World, kernel: Kernel) -> None:
    """BLKPG_DEL takes one away, through a read-only handle, and leaves the others."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.add_partition(one.number, 2, 2 * SECTOR, SECTOR)
    kernel.delete_partition(one.handle, 1)
    assert numbers(kernel, one.number) == [2]


def test_delete_through_a_claim(world: World, kernel: Kernel) -> None:
    """A claim's handle will do (F37)."""
    one = world.attach(exclusive=True)
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    kernel.delete_partition(one.handle, 1)
    assert kernel.partitions(one.number) == []


def test_missing_partition_is_enxio(world: World, kernel: Kernel) -> None:
    """One that is not there is ENXIO, bound or not, and number 0 is EINVAL."""
    unbound = world.open(world.new_number())
    for handle in (world.attach().handle, unbound):
        with fails_with(errno.ENXIO):
            kernel.delete_partition(handle, 7)
        with fails_with(errno.EINVAL):
            kernel.delete_partition(handle, 0)


def test_open_partition_cannot_be_deleted(world: World, kernel: Kernel) -> None:
    """EBUSY while anybody has it open (F32)."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    other = world.open_elsewhere((one.number, 1))
    with fails_with(errno.EBUSY):
        kernel.delete_partition(one.handle, 1)
    other.close()
    kernel.delete_partition(one.handle, 1)


def test_open_partition_keeps_the_device(world: World, kernel: Kernel) -> None:
    """It is an opener of the whole device: CLR_FD only arms, and the last close detaches (F19)."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    other = world.open_elsewhere((one.number, 1))
    kernel.clear(one.handle)
    assert kernel.get_status(one.handle).autoclear
    one.handle.close()
    assert world.is_attached(one)
    other.close()
    world.wait_until_gone(one)


def test_partscan_drops_partitions_at_the_detach(world: World, kernel: Kernel) -> None:
    """With PARTSCAN no partition outlives its image."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.detach(one)
    assert kernel.partitions(one.number) == []


def test_autoclear_drops_partitions_too(world: World, kernel: Kernel) -> None:
    """The last close does as CLR_FD does."""
    one = world.attach(config=LoopConfig(b"", autoclear=True))
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    one.handle.close()
    world.wait_until_gone(one)
    oracle.wait_until(lambda: kernel.partitions(one.number) == [], "the partition is dropped")  # F61


@pytest.mark.usefixtures("_leftovers")
def test_without_partscan_partitions_survive(world: World, kernel: Kernel) -> None:
    """They lie over the next image on that number, until one with PARTSCAN drops them (F31)."""
    one = world.attach(config=WITHOUT_PARTSCAN)
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.detach(one)
    assert numbers(kernel, one.number) == [1]
    handle = world.open(one.number)
    kernel.configure(handle, world.file(world.image()), WITHOUT_PARTSCAN)
    assert numbers(kernel, one.number) == [1]
    world.clear_alone(handle)
    handle.close()
    handle = world.open(one.number)
    kernel.configure(handle, world.file(world.image()), PLAIN)
    assert kernel.partitions(one.number) == []


@pytest.mark.usefixtures("_leftovers")
def test_leftovers_can_be_deleted_between_clear_and_close(world: World, kernel: Kernel) -> None:
    """BLKPG_DEL works where nothing else does any more (F37)."""
    one = world.attach(config=WITHOUT_PARTSCAN)
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.clear_alone(one.handle)
    assert numbers(kernel, one.number) == [1]
    kernel.delete_partition(one.handle, 1)
    one.handle.close()
    assert kernel.partitions(one.number) == []


@pytest.mark.usefixtures("_leftovers")
def test_leftovers_can_be_deleted_from_an_unbound_device(world: World, kernel: Kernel) -> None:
    """No image is needed to drop what an earlier one left."""
    one = world.attach(config=WITHOUT_PARTSCAN)
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.detach(one)
    kernel.delete_partition(world.open(one.number), 1)
    assert kernel.partitions(one.number) == []
