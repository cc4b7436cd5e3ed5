"""``async with attached(...)`` among what asyncio has: timeouts, groups, signals, loops that are closed."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import (
    DeviceBusyError,
    ImageNotFoundError,
    ImageWriteError,
    LoopDevice,
    Loops,
    MediumError,
    attached,
    release_all,
    release_all_async,
    sweep_async,
)
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops.testing import MemoryKernel, in_memory
from tests.support import oracle
from tests.support.cancelling import CancellingKernel, as_kernel, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

MANY = 50


@pytest.fixture
def kernel() -> Iterator[MemoryKernel]:
    """A kernel in memory, on which nothing is left in the end, no descriptor and no thread."""
    with in_memory() as memory:
        yield memory
        oracle.wait_until(lambda: "ntt_loops" not in {one.name for one in threading.enumerate()}, "all threads ended")
        assert memory.bound_numbers() == []
    assert open_numbers() == []


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    return path


def test_one_that_fails_cancels_the_others_of_its_group(kernel: MemoryKernel, image: Path) -> None:
    """Some are attaching then, some in their blocks; none leaves a device."""

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.0003)
        async with attached(image):
            if number == MANY // 2:
                raise LookupError
            await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(MANY):
                group.create_task(one(number))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert kernel.bound_numbers() == []


def test_exits_that_wait_keep_no_one_else_waiting(kernel: MemoryKernel, image: Path) -> None:
    """More exits wait than asyncio has threads, and the one that lets them all go is not behind them."""
    readers: list[Callable[[], None]] = []

    async def waiting() -> None:
        async with attached(image, timeout=600) as device:
            readers.append(kernel.open_elsewhere(device.number).close)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(MANY):
                group.create_task(waiting())
            await until(lambda: len(readers) == MANY)
            async with attached(image):
                for close in readers:
                    close()

    asyncio.run(main())


def test_a_timeout_of_asyncio_ends_the_wait_of_an_exit(kernel: MemoryKernel, image: Path) -> None:
    """It is a TimeoutError, of the innermost timeout that has passed; who held the device is noted and logged."""
    readers: list[Callable[[], None]] = []

    async def main() -> None:
        async with asyncio.timeout(600), asyncio.timeout(None) as inner, attached(image, timeout=600) as device:
            readers.append(kernel.open_elsewhere(device.number, pid=4711, command="dd").close)
            inner.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(main())
    cause = caught.value.__cause__
    assert isinstance(cause, asyncio.CancelledError)
    assert "still in use" in cause.__notes__[0]
    assert "dd" in cause.__notes__[0]
    readers[0]()


def test_a_cancelled_body_is_left_as_any_other(kernel: MemoryKernel, image: Path) -> None:
    """The exit that follows waits for the reader, with the loop going on; the body's cancellation goes on then."""

    async def block() -> None:
        async with attached(image, timeout=600) as device:
            readers.append(kernel.open_elsewhere(device.number))
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(block())
        await until(lambda: readers)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0.001)
            assert not task.done()
        readers[0].close()
        await asyncio.wait([task])
        assert task.cancelled()

    readers = []  # type: ignore[var-annotated]
    asyncio.run(main())


def test_the_bodys_error_is_behind_a_cancelled_exit(kernel: MemoryKernel, image: Path) -> None:
    """The cancellation goes on, and what the body had raised is its context."""

    async def block() -> None:
        async with attached(image, timeout=600) as device:
            readers.append(kernel.open_elsewhere(device.number))
            asyncio.get_running_loop().call_soon(task[0].cancel)
            raise LookupError

    async def main() -> None:
        task.append(asyncio.create_task(block()))
        with pytest.raises(asyncio.CancelledError) as caught:
            await task[0]
        assert isinstance(caught.value.__context__, LookupError)
        assert any("still in use" in note for note in caught.value.__context__.__notes__)

    readers = []  # type: ignore[var-annotated]
    task: list[asyncio.Task[None]] = []
    asyncio.run(main())
    readers[0].close()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_under_asyncio_run_leaves_nothing(kernel: MemoryKernel, image: Path, tmp_path: Path, times: int) -> None:
    """It comes once or again and again, at any call of the kernel that a block's threads make."""

    def interrupt() -> None:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        with suppress(RuntimeError):  # closed: asyncio sees a signal that comes right before it waits at its next event
            loops[-1].call_soon_threadsafe(lambda: None)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with Loops(tmp_path / "run", as_kernel(over)).attached(image):
            await asyncio.sleep(0)

    loops: list[asyncio.AbstractEventLoop] = []
    for at in itertools.count(1):
        over = CancellingKernel(kernel, at)
        over.cancel = interrupt
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            assert over.name
        else:
            break
        gc.collect()
        oracle.wait_until(lambda: kernel.bound_numbers() == [], "the device is gone")
    assert at > 10


@pytest.mark.parametrize("is_running", [False, True], ids=["no loop runs", "a loop runs"])
def test_a_block_that_is_thrown_away_is_left(kernel: MemoryKernel, image: Path, *, is_running: bool) -> None:
    """A coroutine that is closed in its body: the device goes at once, or else by a thread that nobody waits for."""

    async def block() -> None:
        async with attached(image):
            inside.append(True)
            await asyncio.Event().wait()

    async def thrown_away() -> None:
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            coroutine.close()
        coroutine.close()

    inside: list[bool] = []
    coroutine = block()
    with closing(asyncio.new_event_loop()) as loop:
        task = loop.create_task(coroutine)
        loop.run_until_complete(until(lambda: inside))
        assert len(kernel.bound_numbers()) == 1
        if is_running:
            loop.run_until_complete(thrown_away())
        else:
            coroutine.close()
            assert kernel.bound_numbers() == []
    task._log_destroy_pending = False  # type: ignore[attr-defined] # that it is destroyed is what this is about
    oracle.wait_until(lambda: kernel.bound_numbers() == [], "the device is gone")


@pytest.mark.parametrize("is_faster", [False, True], ids=["at work", "done"])
def test_an_attach_whose_loop_is_closed_is_undone(
    kernel: MemoryKernel, image: Path, tmp_path: Path, *, is_faster: bool
) -> None:
    """By the thread that made it: nobody else is there to do so."""
    begun, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        begun.set()
        go_on.wait()

    over = CancellingKernel(kernel, 1, only=["configure"])
    over.cancel = pause
    loops = Loops(tmp_path / "run", as_kernel(over))
    attachment = loops.attached(image)
    with closing(asyncio.new_event_loop()) as loop:
        coroutine = attachment.__aenter__()
        task = loop.create_task(coroutine)
        loop.call_soon(loop.stop)
        loop.run_forever()
        begun.wait()
    if not is_faster:
        coroutine.close()
    go_on.set()
    coroutine.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # as above
    oracle.wait_until(lambda: kernel.bound_numbers() == [], "the device is gone")


def test_an_async_generator_that_is_closed_leaves_its_block(kernel: MemoryKernel, image: Path) -> None:
    """It may wait there, and does."""

    async def devices() -> AsyncIterator[LoopDevice]:
        async with attached(image) as device:
            yield device

    async def main() -> None:
        found = devices()
        async for device in found:
            assert kernel.bound_numbers() == [device.number]
            break
        await found.aclose()  # type: ignore[attr-defined]
        assert kernel.bound_numbers() == []

    asyncio.run(main())


def test_two_loops_in_two_threads_do_not_meet(kernel: MemoryKernel, image: Path) -> None:
    """Each waits for its own threads only."""
    together = threading.Barrier(2)

    async def main() -> None:
        for _ in range(20):
            async with attached(image):
                await asyncio.to_thread(together.wait)
                assert len(kernel.bound_numbers()) == 2
                await asyncio.to_thread(together.wait)

    threads = [threading.Thread(target=partial(asyncio.run, main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernel.bound_numbers() == []


def test_the_plain_form_works_in_a_coroutine(kernel: MemoryKernel, image: Path) -> None:
    """It blocks the loop as any plain call; and what was entered by ``async with`` may be closed by the plain call."""

    async def main() -> None:
        with attached(image) as device:
            assert kernel.bound_numbers() == [device.number]
        attachment = attached(image)
        async with attachment:
            attachment.close()
            assert kernel.bound_numbers() == []
        release_all(image)

    asyncio.run(main())


def test_one_attachment_is_entered_once_at_a_time(kernel: MemoryKernel, image: Path) -> None:
    """The second one is a RuntimeError, cancelled or not, and the first one's device stays."""
    assert kernel.bound_numbers() == []

    async def main() -> None:
        attachment = attached(image)
        async with attachment as device:
            with pytest.raises(RuntimeError, match="by this very object"):
                await attachment.__aenter__()
            task = asyncio.create_task(attachment.__aenter__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert kernel.bound_numbers() == [device.number]

    asyncio.run(main())


def test_without_any_thread_it_is_done_without_waiting(
    kernel: MemoryKernel, image: Path, mocker: MockerFixture
) -> None:
    """A machine that has no thread left: what can be done at once is done, the rest is busy at once."""
    mocker.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread"))

    async def main() -> None:
        async with attached(image):
            assert len(kernel.bound_numbers()) == 1
        attachment = attached(image, timeout=600)
        reader = kernel.open_elsewhere((await attachment.__aenter__()).number)
        with pytest.raises(DeviceBusyError):
            await attachment.__aexit__(None, None, None)
        with pytest.raises(DeviceBusyError):
            await release_all_async(image, timeout=600)
        reader.close()
        assert (await sweep_async()).released == ()

    asyncio.run(main())


def test_where_no_loop_runs_it_says_so(kernel: MemoryKernel, image: Path) -> None:
    """Another framework's loop is not asyncio's."""
    for coroutine in (attached(image).__aenter__(), release_all_async(image), sweep_async()):
        with pytest.raises(RuntimeError, match="no event loop of asyncio runs here"):
            coroutine.send(None)
    assert kernel.bound_numbers() == []


def test_a_wrong_argument_is_the_same_error_as_in_the_plain_form(kernel: MemoryKernel, image: Path) -> None:
    """And nothing is attached."""

    async def main() -> None:
        with pytest.raises(ImageNotFoundError):
            await attached(image.with_name("missing.img")).__aenter__()
        with pytest.raises(ValueError, match="timeout"):
            await release_all_async(image, timeout=-1)
        with pytest.raises(MediumError):
            await release_all_async("")
        with pytest.raises(ValueError, match="kept_older_than"):
            await sweep_async(kept_older_than=-1)

    asyncio.run(main())
    assert kernel.bound_numbers() == []


async def cancelled(task: asyncio.Task[object]) -> str:
    """Wait for a task that is being cancelled, and return what is noted on the cancellation."""
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return "".join(getattr(caught.value, "__notes__", ()))


def test_a_lost_write_is_told_though_the_exit_is_cancelled(
    kernel: MemoryKernel, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel says it only once."""

    async def main() -> None:
        attachment = attached(image, writable=True, timeout=600)
        device = await attachment.__aenter__()
        kernel.fail_flush(device.number)
        reader = kernel.open_elsewhere(device.number)
        task = asyncio.create_task(attachment.__aexit__(None, None, None))
        await asyncio.sleep(0)
        task.cancel()
        assert "may not be in" in await cancelled(task)
        reader.close()

    asyncio.run(main())
    assert any("may not be in" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("name", ["release", "sweep"])
def test_a_lost_write_is_told_though_the_release_is_cancelled(
    kernel: MemoryKernel, image: Path, tmp_path: Path, name: str
) -> None:
    """Of a device that went before the call ended; the other one is not begun."""
    over = CancellingKernel(kernel, 1, only=["lock_detach"])
    loops = Loops(tmp_path / "run", as_kernel(over))
    for _ in range(2):
        kernel.fail_flush(loops.attach_kept(image, writable=True).number)

    async def main() -> None:
        call = loops.release_all_async(image) if name == "release" else loops.sweep_async(kept_older_than=0)
        task = asyncio.create_task(call)
        over.cancel = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        assert (await cancelled(task)).count("may not be in") == 1

    asyncio.run(main())
    assert len(kernel.bound_numbers()) == 1
    with pytest.raises(ImageWriteError):
        loops.release_all(image)


def test_who_does_not_await_does_not_import_asyncio(image: Path) -> None:
    """The plain forms bring in neither it nor what the awaited ones are made of."""
    code = (
        "import sys\n"
        "from ntt_loops import attached, release_all, sweep\n"
        "from ntt_loops.testing import in_memory\n"
        "with in_memory():\n"
        f"    with attached({str(image)!r}): pass\n"
        f"    release_all({str(image)!r}), sweep()\n"
        "sys.exit(len({'asyncio', 'ntt_loops._aside'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
