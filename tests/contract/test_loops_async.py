"""The awaited forms on every kernel: cancelled wherever that can be, they leave nothing behind."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, LoopDevice, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from tests.support.cancelling import CancellingKernel, as_kernel, cancelled_at, cancelled_in
from tests.support.oracle import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.cancelling import Work
    from tests.support.world import World

#: The calls that are made for one device that is to go; and of a writable one.
OF_A_DETACH = ("is_bound", "open", "get_diskseq", "get_status", "clear", "set_autoclear", "close")
OF_A_WRITABLE = ("flush", "lock_detach")
#: So many times each is cancelled at: a release that somebody is in the way of makes them again and again.
OF_EACH = 5
#: Each of these but the first is one more look at whether it is gone, after a pause that grows.
CALLS_OF_A_BUSY_EXIT = 12
TICKS = 10
MANY = 50


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


def numbers_of(world: World, image: Path) -> list[int]:
    """Return the devices of an image, living or deleted."""
    path = os.fsencode(image)
    found = (world.kernel.look(number) for number in world.kernel.bound_numbers())
    return [one.number for one in found if one is not None and one.backing_file.startswith(path)]


def check_nothing_is_left(world: World, loops: Loops, image: Path) -> None:
    """No device, no descriptor, and no record that a release does not take off."""
    wait_until(lambda: numbers_of(world, image) == [], "a stranger's look at that instant is over")
    assert open_numbers() == []
    loops.release_all(image)
    assert list(loops._world().ledger.run_dir.glob("*")) == []


def one_block(loops: Loops, image: Path, *, writable: bool = False) -> Work:
    """A block with an await in it."""

    async def work() -> None:
        async with loops.attached(image, writable=writable) as device:
            assert isinstance(device, LoopDevice)
            await asyncio.sleep(0)

    return work


def test_the_device_is_there_in_the_block_and_gone_after_it(world: World, loops: Loops) -> None:
    """As by the plain form."""
    image = world.image()

    async def work() -> None:
        attachment = loops.attached(image)
        for _ in range(2):
            async with attachment as device:
                assert numbers_of(world, image) == [device.number]
                assert attachment.device == device
            assert numbers_of(world, image) == []

    asyncio.run(work())
    check_nothing_is_left(world, loops, image)


@pytest.mark.parametrize("late", [False, True], ids=["as it begins to wait", "as the wait is over"])
def test_cancelled_at_every_await_nothing_is_left(world: World, loops: Loops, *, late: bool) -> None:
    """A block, a release and a sweep, cancelled at each await, and again at any later one."""
    image = world.image()

    async def work() -> None:
        await one_block(loops, image)()
        await loops.release_all_async(image)
        await loops.sweep_async()

    ended, awaits = cancelled_at(work)
    assert (ended, awaits) == ("done", 5)
    for first in range(1, awaits + 1):
        for second in range(first, awaits + 3):
            assert cancelled_at(work, first, second, late=late)[0] == "cancelled"
            check_nothing_is_left(world, loops, image)
    assert cancelled_at(work)[0] == "done"


def cancelled_at_each(world: World, run: Callable[[CancellingKernel], str]) -> set[str]:
    """Run something once to see what it calls, then cancel it at each call of each name; return the names."""
    seen = CancellingKernel(world.kernel, 0)
    assert run(seen) == "done"
    for name, at in itertools.product(seen.called, range(1, OF_EACH + 1)):
        kernel = CancellingKernel(world.kernel, at, only=[name])
        assert run(kernel) == ("cancelled" if kernel.name else "done")
    return seen.called


@pytest.mark.parametrize("writable", [False, True])
def test_a_block_cancelled_at_every_call_of_the_kernel_leaves_nothing(
    world: World, loops: Loops, tmp_path: Path, *, writable: bool
) -> None:
    """Wherever the thread of an attach or of an exit is when the cancellation comes."""
    image = world.image()

    def run(kernel: CancellingKernel) -> str:
        over = Loops(tmp_path / "run", as_kernel(kernel))
        ended = cancelled_in(kernel, one_block(over, image, writable=writable))
        check_nothing_is_left(world, loops, image)
        return ended

    assert {"get_free", "open", "configure", "get_status", "is_bound"} <= cancelled_at_each(world, run)


def test_a_busy_exit_cancelled_at_every_call_lets_the_device_go(world: World, loops: Loops, tmp_path: Path) -> None:
    """The cancellation goes on, and the device goes with its last user; its record has no owner any more."""
    image = world.image()
    names: set[str] = set()
    for at in range(1, CALLS_OF_A_BUSY_EXIT):
        kernel = CancellingKernel(world.kernel, at)
        attachment = Loops(tmp_path / "run", as_kernel(kernel)).attached(image, timeout=600)
        device = attachment.__enter__()
        reader = world.open_elsewhere(device.number)

        assert cancelled_in(kernel, partial(attachment.__aexit__, None, None, None)) == "cancelled"
        assert numbers_of(world, image) == [device.number]
        assert [one.owner for one in loops._world().ledger.peek(attachment.medium)] == [None]
        assert open_numbers() == []
        reader.close()
        check_nothing_is_left(world, loops, image)
        names.add(kernel.name)
    assert "is_bound" in names


def armed(world: World, number: int) -> bool:
    """Whether a device goes at its last close; one that is just going is not."""
    try:
        return world.kernel.status_of(number)[0].autoclear
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False


@pytest.mark.parametrize("writable", [False, True])
def test_a_release_cancelled_at_every_call_arms_nothing_in_use(
    world: World, loops: Loops, tmp_path: Path, *, writable: bool
) -> None:
    """A device that somebody reads stays as it was; another one of the image is there or gone."""
    image = world.image()
    used = loops.attach_kept(image, writable=writable)
    reader = world.open_elsewhere(used.number)
    names = {*OF_A_DETACH, *(OF_A_WRITABLE if writable else ())}
    if used.diskseq is None:  # 5.10
        names.remove("get_diskseq")
    for name, at in itertools.product(sorted(names), range(1, OF_EACH + 1)):
        if len(numbers_of(world, image)) == 1:
            loops.attach_kept(image, writable=writable)
        kernel = CancellingKernel(world.kernel, at, only=[name])
        over = Loops(tmp_path / "run", as_kernel(kernel))
        assert cancelled_in(kernel, partial(over.release_all_async, image, timeout=600)) == "cancelled"
        assert used.number in numbers_of(world, image)
        assert not armed(world, used.number)
        assert open_numbers() == []
    reader.close()
    loops.release_all(image)
    check_nothing_is_left(world, loops, image)


def orphans(world: World, loops: Loops) -> Path:
    """Leave two devices of an image that is deleted."""
    image = world.image()
    for _ in range(2):
        loops.attach_kept(image)
    image.unlink()
    return image


def is_swept(world: World, loops: Loops, image: Path) -> bool:
    """Sweep, and say whether no device of an image is left."""
    loops.sweep()
    return numbers_of(world, image) == []


def test_a_sweep_cancelled_at_every_call_is_done_by_the_next_one(world: World, loops: Loops, tmp_path: Path) -> None:
    """No device is left half-done: what one sweep did not come to, the next one takes."""

    def run(kernel: CancellingKernel) -> str:
        image = orphans(world, loops)
        ended = cancelled_in(kernel, Loops(tmp_path / "run", as_kernel(kernel)).sweep_async)
        assert not any(armed(world, number) for number in numbers_of(world, image))
        wait_until(partial(is_swept, world, loops, image), "all are swept")
        assert open_numbers() == []
        assert list(loops._world().ledger.run_dir.glob("*")) == []
        return ended

    assert {"look", "open", "get_status", "clear", "is_bound"} <= cancelled_at_each(world, run)


@pytest.mark.parametrize("name", ["release_all_async", "sweep_async"])
def test_a_cancelled_call_stops_between_two_devices(world: World, loops: Loops, tmp_path: Path, name: str) -> None:
    """The device that it is at is done with, the next one not begun. A stranger's look may keep the first one, too."""
    image = orphans(world, loops)
    kernel = CancellingKernel(world.kernel, 1, only=["clear"])
    over = Loops(tmp_path / "run", as_kernel(kernel))
    call = over.sweep_async if name == "sweep_async" else partial(over.release_all_async, image)
    assert cancelled_in(kernel, call) == "cancelled"
    assert numbers_of(world, image)
    assert not any(armed(world, number) for number in numbers_of(world, image))
    wait_until(partial(is_swept, world, loops, image), "all are swept")
    check_nothing_is_left(world, loops, image)


def test_many_at_once_have_a_device_each(world: World, loops: Loops) -> None:
    """A group of tasks is in all of its blocks at the same time, and out of all in the end."""
    image = world.image()

    async def one(barrier: asyncio.Barrier) -> int:
        async with loops.attached(image, timeout=600) as device:
            await barrier.wait()
            numbers = numbers_of(world, image)
            await barrier.wait()
            assert len(numbers) == MANY
            return device.number

    async def main() -> None:
        barrier = asyncio.Barrier(MANY)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(barrier)) for _ in range(MANY)]
        assert len({task.result() for task in tasks}) == MANY

    asyncio.run(main())
    check_nothing_is_left(world, loops, image)


async def beating(work: asyncio.Task[object], then: Callable[[], object]) -> None:
    """Tick while a task waits, and after some ticks do what it waits for: it would wait for ever if nothing ticked."""
    for _ in range(TICKS):
        await asyncio.sleep(0.001)
        assert not work.done()
    then()
    await work


def test_an_exit_that_waits_does_not_block_the_loop(world: World, loops: Loops) -> None:
    """The reader whom it waits for lets go when the loop has gone round some times."""
    image = world.image()

    async def main() -> None:
        attachment = loops.attached(image, timeout=600)
        reader = world.open_elsewhere((await attachment.__aenter__()).number)
        await beating(asyncio.create_task(attachment.__aexit__(None, None, None)), reader.close)

    asyncio.run(main())
    check_nothing_is_left(world, loops, image)


def test_a_release_that_waits_does_not_block_the_loop(world: World, loops: Loops) -> None:
    """As an exit."""
    image = world.image()
    reader = world.open_elsewhere(loops.attach_kept(image).number)

    async def main() -> None:
        await beating(asyncio.create_task(loops.release_all_async(image, timeout=600)), reader.close)

    asyncio.run(main())
    check_nothing_is_left(world, loops, image)


def test_calls_that_wait_for_the_ledger_do_not_block_the_loop(world: World, loops: Loops) -> None:
    """An attach and a sweep wait for its lock, which another process may have."""
    image = orphans(world, loops)
    image.write_bytes(bytes(4096))

    async def main() -> None:
        for call in (one_block(loops, image), partial(loops.sweep_async, timeout=600)):
            book = loops._world().ledger.locked_for_reading(image.name, Deadline.after(60))
            await beating(asyncio.create_task(call()), book.close)

    asyncio.run(main())
    check_nothing_is_left(world, loops, image)


def test_a_busy_exit_raises_as_the_plain_form_does(world: World, loops: Loops) -> None:
    """With the holders; an error of the body goes on, with the exit's as a note."""
    image = world.image()

    async def main(error: Exception | None) -> None:
        async with loops.attached(image, timeout=0.1) as device:
            readers.append(world.open_elsewhere(device.number))
            if error is not None:
                raise error

    readers = []  # type: ignore[var-annotated]
    with pytest.raises(DeviceBusyError) as caught:
        asyncio.run(main(None))
    assert ("process", readers[0].pid) in [(one.kind, one.pid) for one in caught.value.holders]
    with pytest.raises(KeyError) as other:
        asyncio.run(main(KeyError()))
    assert any("still in use" in note for note in other.value.__notes__)
    for reader in readers:
        reader.close()
    check_nothing_is_left(world, loops, image)
