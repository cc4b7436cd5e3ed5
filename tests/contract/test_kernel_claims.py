"""Claims: exclusive opens, and who excludes whom (F23, F24)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

SECTOR = 512


def test_claim_excludes_claims(world: World, kernel: Kernel) -> None:
    """The second claim is EBUSY until the first is closed, in one process too; the error names the device."""
    one = world.attach()
    claim = world.open(one.number, exclusive=True)
    with pytest.raises(OSError, match=f"{kernel.node(one.number)}'$") as caught:
        kernel.open(one.number, exclusive=True)
    assert caught.value.errno == errno.EBUSY
    claim.close()
    assert not world.is_claimed(one.number)


def test_claim_excludes_no_plain_open(world: World) -> None:
    """A plain open never asks for claims."""
    one = world.attach()
    world.open(one.number, exclusive=True)
    assert not world.open(one.number).closed


def test_plain_opens_exclude_no_claim(world: World) -> None:
    """A claim does not see plain descriptors, of this or another process."""
    one = world.attach()
    world.open_elsewhere(one.number)
    assert not world.is_claimed(one.number)


def test_claim_of_another_process_counts(world: World) -> None:
    """Wherever it is held, until its process ends."""
    one = world.attach()
    other = world.open_elsewhere(one.number, exclusive=True)
    assert world.is_claimed(one.number)
    other.close()
    assert not world.is_claimed(one.number)


def test_unbound_device_can_be_claimed(world: World) -> None:
    """A claim needs nothing bound."""
    number = world.new_number()
    claim = world.open(number, exclusive=True)
    assert world.is_claimed(number)
    claim.close()
    assert not world.is_claimed(number)


def test_clear_heeds_no_claim(world: World, kernel: Kernel) -> None:
    """CLR_FD through a plain handle arms the device under somebody else's claim (F20)."""
    one = world.attach()
    claim = world.open(one.number, exclusive=True)
    kernel.clear(one.handle)
    assert kernel.get_status(claim).autoclear


def test_claim_of_a_partition_is_one_of_the_disk(world: World) -> None:
    """The whole device cannot be claimed while a partition is; a plain open of the partition does not matter."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    plain = world.open_elsewhere((one.number, 1))
    assert not world.is_claimed(one.number)
    other = world.open_elsewhere((one.number, 1), exclusive=True)
    assert world.is_claimed(one.number)
    other.close()
    assert not world.is_claimed(one.number)
    plain.close()


def test_partitions_do_not_exclude_each_other(world: World) -> None:
    """Two partitions can be claimed at once."""
    one = world.attach()
    world.add_partition(one.number, 1, SECTOR, SECTOR)
    world.add_partition(one.number, 2, 2 * SECTOR, SECTOR)
    first = world.open_elsewhere((one.number, 1), exclusive=True)
    second = world.open_elsewhere((one.number, 2), exclusive=True)
    assert first.pid != second.pid
