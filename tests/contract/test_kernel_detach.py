"""Detaching: the last close, CLR_FD, and what is between the two."""

from __future__ import annotations

import errno
import warnings
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support.rig import fails_with
from tests.support.world import IMAGE_BYTES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._kernel import Handle, Kernel
    from tests.support.world import World

ARMED = LoopConfig(b"armed", autoclear=True)
CHILD_SECONDS = 60.0


def test_kept_device_outlives_its_handle(world: World, kernel: Kernel) -> None:
    """Without AUTOCLEAR no close detaches."""
    one = world.attach()
    one.handle.close()
    assert world.is_attached(one)
    assert not kernel.get_status(world.open(one.number)).autoclear


def test_autoclear_detaches_at_the_last_close(world: World) -> None:
    """With AUTOCLEAR the device goes with its last opener, not before (F11)."""
    one = world.attach(config=ARMED)
    second = world.open(one.number)
    one.handle.close()
    assert world.is_attached(one)
    second.close()
    world.wait_until_gone(one)


def test_collected_handle_is_one_opener_less(world: World, kernel: Kernel) -> None:
    """A handle that is lost closes by itself."""
    one = world.attach(config=ARMED)
    lost = [kernel.open(one.number)]
    one.handle.close()
    assert world.is_attached(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        lost.clear()
    world.wait_until_gone(one)


def test_close_again_does_nothing(world: World, kernel: Kernel) -> None:
    """A handle closes once, by whichever way."""
    one = world.attach(config=ARMED)
    others = world.open(one.number)
    for _ in range(2):
        one.handle.close()
        kernel.close(one.handle)
        kernel.close(one.handle, within=CHILD_SECONDS)
    assert one.handle.closed
    assert world.is_attached(one)
    others.close()


def test_close_in_a_child_is_a_close(world: World, kernel: Kernel) -> None:
    """With ``within`` the handle is closed and the device goes as well."""
    one = world.attach(config=ARMED)
    kernel.close(one.handle, within=CHILD_SECONDS)
    assert one.handle.closed
    world.wait_until_gone(one)


def test_closed_handle_can_do_nothing(world: World, kernel: Kernel) -> None:
    """Every call on a closed handle is a ValueError, never one on somebody else's descriptor."""
    handle = world.open(world.new_number())
    handle.close()
    calls: list[Callable[[Handle], object]] = [
        kernel.get_status,
        kernel.clear,
        kernel.flush,
        kernel.get_diskseq,
        kernel.get_size_bytes,
        lambda closed: kernel.set_autoclear(closed, on=True),
        lambda closed: kernel.delete_partition(closed, 1),
        lambda closed: kernel.configure(closed, world.file(world.image()), PLAIN),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="closed"):
            call(handle)


# -- CLR_FD


def test_clear_as_only_opener_detaches(world: World, kernel: Kernel) -> None:
    """GET_STATUS64 on the same handle says ENXIO, and after the close nothing is bound (F17)."""
    one = world.attach()
    world.clear_alone(one.handle)
    assert world.is_attached(one) is world.rundown
    one.handle.close()
    world.wait_until_gone(one)
    if world.has_diskseq:
        assert kernel.diskseq(one.number) != one.diskseq


def test_detached_device_can_be_attached_again(world: World, kernel: Kernel) -> None:
    """The number is as good as new, with another diskseq."""
    one = world.attach()
    world.detach(one)
    handle = world.open(one.number)
    assert kernel.get_size_bytes(handle) == 0
    kernel.configure(handle, world.file(one.image), PLAIN)
    assert kernel.get_size_bytes(handle) == IMAGE_BYTES
    assert kernel.get_diskseq(handle) != one.diskseq or not world.has_diskseq


def test_clear_with_another_opener_only_arms(world: World, kernel: Kernel) -> None:
    """CLR_FD says 0 each time, sets AUTOCLEAR, and the device stays until its last close (F16)."""
    one = world.attach()
    second = world.open(one.number)
    for _ in range(2):
        kernel.clear(one.handle)
        assert kernel.get_status(one.handle).autoclear
    one.handle.close()
    assert world.is_attached(one)
    second.close()
    world.wait_until_gone(one)


def test_clear_takes_once_the_other_is_gone(world: World, kernel: Kernel) -> None:
    """An armed device is cleared like any other as soon as there is one opener."""
    one = world.attach()
    second = world.open(one.number)
    kernel.clear(one.handle)
    second.close()
    world.clear_alone(one.handle)


def test_other_process_is_an_opener_too(world: World, kernel: Kernel) -> None:
    """A descriptor anywhere makes CLR_FD a deferred one."""
    one = world.attach()
    other = world.open_elsewhere(one.number)
    kernel.clear(one.handle)
    assert kernel.get_status(one.handle).autoclear
    one.handle.close()
    assert world.is_attached(one)
    other.close()
    world.wait_until_gone(one)


def test_clear_of_an_unbound_device_is_enxio(world: World, kernel: Kernel) -> None:
    """There is nothing to clear, to ask or to set."""
    handle = world.open(world.new_number())
    with fails_with(errno.ENXIO):
        kernel.clear(handle)
    with fails_with(errno.ENXIO):
        kernel.get_status(handle)
    with fails_with(errno.ENXIO):
        kernel.get_status(handle, within=CHILD_SECONDS)
    with fails_with(errno.ENXIO):
        kernel.set_autoclear(handle, on=True)


# -- AUTOCLEAR by SET_STATUS64


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_autoclear_can_be_set_and_taken_back(world: World, kernel: Kernel, within: float | None) -> None:
    """By any descriptor, a read-only one too, and nothing else changes (F12)."""
    one = world.attach(config=LoopConfig(b"tag", offset_bytes=512, size_limit_bytes=4096))
    before, handle = kernel.get_status(one.handle), world.open(one.number)
    kernel.set_autoclear(handle, on=True, within=within)
    assert kernel.get_status(one.handle).autoclear
    kernel.set_autoclear(handle, on=False, within=within)
    assert kernel.get_status(one.handle) == before
    handle.close()
    one.handle.close()
    assert world.is_attached(one)


def test_disarmed_device_stays(world: World, kernel: Kernel) -> None:
    """AUTOCLEAR taken back after a CLR_FD that did not take puts all as it was (F16)."""
    one = world.attach()
    claim, other = world.open(one.number, exclusive=True), world.open_elsewhere(one.number)
    kernel.clear(claim)
    kernel.set_autoclear(claim, on=False)
    for opener in (claim, other, one.handle):
        opener.close()
    assert world.is_attached(one)


# -- flush


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_flush_works_on_any_handle(world: World, kernel: Kernel, within: float | None) -> None:
    """Fsync succeeds on read-only and writable devices, and on one that was never bound (F18)."""
    kernel.flush(world.attach().handle, within=within)
    kernel.flush(world.attach(writable=True, config=LoopConfig(b"", read_only=False)).handle, within=within)
    kernel.flush(world.open(world.new_number()), within=within)
