"""What is between a CLR_FD that took and the close (F17)."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support.oracle import wait_until
from tests.support.rig import fails_with
from tests.support.world import IMAGE_BYTES, PLAIN

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

CHILD_SECONDS = 60.0


def test_in_rundown_nobody_gets_in(world: World, kernel: Kernel) -> None:
    """New opens say ENXIO while sysfs shows the device as bound; before 6.11 it is free at once (F17)."""
    one = world.attach()
    world.clear_alone(one.handle)
    if not world.rundown:
        assert not world.open(one.number, exclusive=True).closed
        return
    assert kernel.is_bound(one.number)
    assert one.number in kernel.bound_numbers()
    for exclusive in (False, True):
        with fails_with(errno.ENXIO):
            kernel.open(one.number, exclusive=exclusive)


def test_in_rundown_the_handle_can_do_little(world: World, kernel: Kernel) -> None:
    """CLR_FD and SET_STATUS64 say ENXIO, CONFIGURE EBUSY; before 6.11 the handle's device can be bound anew."""
    one = world.attach()
    world.clear_alone(one.handle)
    with fails_with(errno.ENXIO):
        kernel.clear(one.handle)
    with fails_with(errno.ENXIO):
        kernel.set_autoclear(one.handle, on=True)
    kernel.flush(one.handle)
    file = world.file(one.image)
    if world.rundown:
        with fails_with(errno.EBUSY):
            kernel.configure(one.handle, file, PLAIN)
    else:
        kernel.configure(one.handle, file, PLAIN)


def test_in_rundown_size_and_diskseq_stay(world: World, kernel: Kernel) -> None:
    """Until the close it is the same attachment still."""
    one = world.attach()
    world.clear_alone(one.handle)
    assert kernel.get_size_bytes(one.handle) == (IMAGE_BYTES if world.rundown else 0)
    assert (kernel.get_diskseq(one.handle) == one.diskseq) is (world.rundown or not world.has_diskseq)
    one.handle.close()
    wait_until(lambda: kernel.size_bytes(one.number) == 0, "a size of 0")


def test_get_free_skips_a_rundown(world: World, kernel: Kernel) -> None:
    """A number is free only after the close (F17)."""
    made = []

    def cleared() -> bool:
        handle = world.open(kernel.get_free())
        with contextlib.suppress(BlockingIOError):
            if world._configured(handle, world.file(world.image()), PLAIN):
                made.append(handle)
        return bool(made)

    wait_until(cleared, "an attachment on the number of GET_FREE")
    number = kernel.get_status(made[0]).number
    world.clear_alone(made[0])
    if world.rundown:
        assert kernel.get_free() != number
        assert world.next_free(number - 1) > number


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_flush_between_clear_and_close_proves_nothing(world: World, kernel: Kernel, within: float | None) -> None:
    """Once CLR_FD took a flush of a writable device says EIO, lost or not; before 6.11 nothing."""
    one = world.attach(writable=True, config=LoopConfig(b"", read_only=False))
    kernel.flush(one.handle, within=within)
    world.clear_alone(one.handle)
    for _ in range(2):
        if world.rundown:
            with fails_with(errno.EIO):
                kernel.flush(one.handle, within=within)
        else:
            kernel.flush(one.handle, within=within)
