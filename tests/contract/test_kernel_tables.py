"""Partition tables: read by partx(8), and their partitions added where the kernel did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops._kernel import TableEntry
from tests.support.world import IMAGE_BYTES, PLAIN

if TYPE_CHECKING:
    from ntt_loops._kernel import Handle, Kernel
    from tests.support.world import World

SECTOR = 512
WITHIN = 10.0

#: Without what the kernel itself would make of a table.
UNSCANNED = attrs.evolve(PLAIN, partscan=False)


def places(kernel: Kernel, number: int) -> list[tuple[int, int, int]]:
    """Return number, start and length in sectors of what the kernel has."""
    return [(one.number, one.start_bytes // SECTOR, one.size_bytes // SECTOR) for one in kernel.partitions(number)]


def add_all(kernel: Kernel, handle: Handle) -> None:
    """Add whatever the table has."""
    kernel.add_partitions(handle, 1, 128, within=WITHIN)


def test_the_table_is_read_in_bytes_with_its_types(world: World, kernel: Kernel) -> None:
    """Number, start, size and type of each entry, also of one that lies past the end."""
    far = 2 * IMAGE_BYTES // SECTOR
    one = world.attach(world.table_image((8, 16, 0x83), (far, 8, 0x7)))
    assert kernel.partition_table(one.handle, within=WITHIN) == [
        TableEntry(1, 8 * SECTOR, 16 * SECTOR, "0x83", "dos"),
        TableEntry(2, far * SECTOR, 8 * SECTOR, "0x7", "dos"),
    ]


@pytest.mark.parametrize("is_bound", [True, False])
def test_without_a_table_there_are_no_entries(world: World, kernel: Kernel, *, is_bound: bool) -> None:
    """Nothing that could be read, or no image at all, is an empty table, and nothing is added."""
    handle = world.attach().handle if is_bound else world.open(world.new_number())
    assert kernel.partition_table(handle, within=WITHIN) == []
    add_all(kernel, handle)
    assert kernel.partition_table(handle, within=WITHIN) == []


def test_what_is_added_is_there_at_once(world: World, kernel: Kernel) -> None:
    """Only the numbers that were asked for; with PARTSCAN they are gone at the detach."""
    one = world.attach(world.table_image((8, 16, 0x83), (24, 8, 0x7), (32, 8, 0x7)))
    kernel.add_partitions(one.handle, 2, 3, within=WITHIN)
    assert [place for place in places(kernel, one.number) if place[0] != 1] == [(2, 24, 8), (3, 32, 8)]
    add_all(kernel, one.handle)
    assert places(kernel, one.number) == [(1, 8, 16), (2, 24, 8), (3, 32, 8)]
    world.detach(one)
    assert places(kernel, one.number) == []


def test_what_cannot_be_added_does_not_stop_the_rest(world: World, kernel: Kernel) -> None:
    """One that is there already, that overlaps, or (F55) ends past the end is passed over, without an error."""
    far = IMAGE_BYTES // SECTOR - 4
    table = world.table_image((8, 16, 0x83), (16, 16, 0x83), (far, 8, 0x83), (64, 8, 0x83))
    one = world.attach(table, UNSCANNED)  # a kernel that reads tables would take them all (F55)
    add_all(kernel, one.handle)
    add_all(kernel, one.handle)
    taken = [(3, far, 8)] if world.takes_past_the_end else []
    assert places(kernel, one.number) == [(1, 8, 16), *taken, (4, 64, 8)]


def test_of_an_extended_partition_the_kernel_shows_two_sectors(world: World, kernel: Kernel) -> None:
    """Its size in the table is that of all it holds (F55)."""
    one = world.attach(world.table_image((8, 100, 0x5)))
    (entry,) = kernel.partition_table(one.handle, within=WITHIN)
    assert entry.is_extended
    assert entry.size_bytes == 100 * SECTOR
    kernel.add_partitions(
        one.handle, 1, 4, within=WITHIN
    )  # sfdisk(8) finds one more in what is no table, far past the end
    assert places(kernel, one.number) == [(1, 8, 2)]


def test_a_table_goes_with_its_image(world: World, kernel: Kernel) -> None:
    """The next image on that number has its own."""
    one = world.attach(world.table_image((8, 16, 0x83)))
    world.detach(one)
    handle = world.open(one.number)
    kernel.configure(handle, world.file(world.image()), PLAIN)
    assert kernel.partition_table(handle, within=WITHIN) == []
    assert kernel.partitions(one.number) == []
