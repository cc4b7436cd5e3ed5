"""Attaching and leaving, on every kernel."""

from __future__ import annotations

import itertools
import os
import pickle
from typing import TYPE_CHECKING

import pytest

from ntt_loops import AttachError, DeviceBusyError, ImageWriteError, LedgerError, Loops, LoopUnavailableError
from tests.support.media import leave_soon
from tests.support.oracle import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from tests.support.world import Elsewhere, World


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


def numbers_of(world: World, image: Path) -> list[int]:
    """Return the devices of an image, by (dev, inode) or by path."""
    path = os.fsencode(image)
    found = (world.kernel.look(number) for number in world.kernel.bound_numbers())
    return [one.number for one in found if one is not None and one.backing_file.startswith(path)]


def test_the_device_is_there_in_the_block_and_gone_after_it(world: World, loops: Loops) -> None:
    """A device shows its image in the block, read-only, and no device of it is left after."""
    image = world.image()
    with loops.attached(image) as device:
        assert numbers_of(world, image) == [device.number]
        assert (device.read_only, device.size_bytes, device.tail_bytes) == (True, image.stat().st_size, 0)
    assert numbers_of(world, image) == []
    assert list(loops._world().ledger.run_dir.iterdir()) == []


def test_two_blocks_over_one_image_have_a_device_each(world: World, loops: Loops) -> None:
    """Nested blocks attach twice, and each detaches its own."""
    image = world.image()
    with loops.attached(image) as outer:
        with loops.attached(image) as inner:
            assert {outer.number, inner.number} == set(numbers_of(world, image))
        assert numbers_of(world, image) == [outer.number]
    assert numbers_of(world, image) == []


def test_a_busy_exit_raises_lets_go_and_the_kernel_frees_it_later(world: World, loops: Loops) -> None:
    """Leaving while somebody else reads is busy, names him, and the device goes with him."""
    image = world.image()
    attachment = loops.attached(image)
    reader = world.open_elsewhere(attachment.__enter__().number)
    leave_soon(attachment)
    with pytest.raises(DeviceBusyError) as caught:
        attachment.__exit__(None, None, None)
    assert ("process", reader.pid) in [(one.kind, one.pid) for one in caught.value.holders]
    (record,) = loops._world().ledger.peek(attachment.medium)
    assert record.owner is None
    reader.close()
    assert loops.release_all(attachment.medium).released == ()
    assert numbers_of(world, image) == []


def test_the_bodys_error_is_not_hidden_by_a_busy_exit(world: World, loops: Loops) -> None:
    """What the body raised goes on, with the exit's error as a note."""
    attachment = loops.attached(world.image())
    readers: list[Elsewhere] = []

    def body() -> None:
        with attachment as device:
            leave_soon(attachment)
            readers.append(world.open_elsewhere(device.number))
            raise KeyError

    with pytest.raises(KeyError) as caught:
        body()
    readers[0].close()
    assert any("still in use" in note for note in caught.value.__notes__)


def test_an_attachment_can_be_entered_again_but_not_twice_at_once(world: World, loops: Loops) -> None:
    """Entered after its exit it attaches anew; entered twice it is a RuntimeError, and stays usable."""
    attachment = loops.attached(world.image())
    for _ in range(2):
        with attachment as device:
            assert attachment.device == device
            with pytest.raises(RuntimeError), attachment:
                pytest.fail("entered twice")
    with pytest.raises(RuntimeError):
        _ = attachment.device


def test_a_kept_device_stays_until_it_is_released(world: World, loops: Loops) -> None:
    """attach_kept leaves it attached and on record; release, through a pickle too, ends both; again it does nothing."""
    image = world.image()
    device = loops.attach_kept(image)
    assert numbers_of(world, image) == [device.number]
    copy = pickle.loads(pickle.dumps(device))  # noqa: S301 - our own
    assert copy == device
    loops.release(copy)
    assert numbers_of(world, image) == []
    assert list(loops._world().ledger.run_dir.iterdir()) == []
    loops.release(device)


def test_release_leaves_what_came_after_it_on_the_number(world: World, loops: Loops) -> None:
    """A device whose number was handed out again is gone, and its successor is not touched."""
    device = loops.attach_kept(world.image())
    loops.release(device)
    other = world.image()
    successors = [loops.attach_kept(other) for _ in range(3)]
    loops.release(device)
    assert sorted(one.number for one in successors) == sorted(numbers_of(world, other))
    loops.release_all(other)


def test_a_ledger_that_cannot_be_written_undoes_the_attach(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """ENOSPC at the record: LedgerError, and neither form of attach leaves a device."""
    image = world.image()
    mocker.patch("ntt_loops._ledger.book.os.write", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(LedgerError):
        loops.attach_kept(image)
    with pytest.raises(LedgerError):
        loops.attached(image).__enter__()
    wait_until(lambda: numbers_of(world, image) == [], "a stranger's look at that instant is over")


def test_a_kernel_that_does_otherwise_than_asked_is_undone(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """A kernel that ignores the size limit, as 5.8.0 did, is noticed, and nothing stays attached."""
    image = world.image()
    mocker.patch.object(world.kernel, "get_size_bytes", return_value=512)
    with pytest.raises(AttachError, match="size_bytes differ"):
        loops.attach_kept(image)
    wait_until(lambda: numbers_of(world, image) == [], "a stranger's look at that instant is over")


def test_a_refused_number_is_left_for_the_next_one(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """A free number that somebody has claimed is refused three times, then passed over."""
    number = world.new_number()
    world.open_elsewhere(number, exclusive=True)
    mocker.patch.object(world.kernel, "get_free", return_value=number)
    with loops.attached(world.image()) as device:
        assert device.number > number


def test_an_attach_that_finds_no_device_says_who_uses_them(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """Refused until the deadline, the error names the pool's users and the sweep."""
    mocker.patch.object(world.kernel, "configure", side_effect=OSError(16, "Device or resource busy"))
    with pytest.raises(LoopUnavailableError, match=r"EBUSY.*sweep"):
        loops.attached(world.image(), timeout=0.05).__enter__()


def test_a_failed_flush_is_an_error_once_and_for_all(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """EIO at the flush of a writable device, scoped or kept, is ImageWriteError, and the device is gone."""
    image = world.image()
    flushed = mocker.patch.object(world.kernel, "flush")
    flushed.side_effect = itertools.chain([OSError(5, "Input/output error")], itertools.repeat(None))
    with pytest.raises(ImageWriteError), loops.attached(image, writable=True):
        pass
    assert numbers_of(world, image) == []
    flushed.side_effect = itertools.chain([OSError(5, "Input/output error")], itertools.repeat(None))
    device = loops.attach_kept(image, writable=True)
    with pytest.raises(ImageWriteError):
        loops.release_all(device.medium)
    assert numbers_of(world, image) == []
