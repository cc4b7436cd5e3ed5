"""Cancelling a coroutine at a chosen await, or while its thread is before a chosen call of the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ntt_loops._aside import StoppableClock
from ntt_loops._backoff import CLOCK

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
#: Gets how many awaits there were, and what is awaited: a future, or None for a mere turn of the loop.
Begins: TypeAlias = "Callable[[int, asyncio.Future[None] | None], None]"

#: Far longer than a cancellation takes to reach a thread.
PATIENCE_SECONDS: Final = 600.0


class Awaits(Awaitable[None]):
    """A coroutine, of which each await is counted and may be told to the test as it begins."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], begins: Begins) -> None:
        """Count from one."""
        self._coroutine = coroutine
        self._begins = begins
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._coroutine.__await__()
        send: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                awaited = send()
            except StopIteration:
                return
            self.count += 1
            self._begins(self.count, awaited)
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                send = partial(steps.throw, error)
            else:
                send = partial(next, steps)


def cancelled_at(work: Work, *at: int, late: bool = False) -> tuple[str, int]:
    """Run a coroutine, cancel it at these awaits, and tell how it ended, and how many awaits it had.

    ``late`` cancels when what is awaited is there, before the coroutine gets it.
    """

    async def run() -> tuple[str, int]:
        def begins(count: int, awaited: asyncio.Future[None] | None) -> None:
            if count not in at:
                return
            if late and awaited is not None:
                awaited.add_done_callback(lambda _: task.cancel())
            else:
                asyncio.get_running_loop().call_soon(task.cancel)

        awaits = Awaits(work(), begins)
        task = asyncio.ensure_future(_awaiting(awaits))
        return await ending(task), awaits.count

    return asyncio.run(run())


async def _awaiting(awaits: Awaits) -> None:
    await awaits


async def until(holds: Callable[[], object]) -> None:
    """Let the loop go round until something holds."""
    while not holds():  # noqa: ASYNC110 - it may be a thread that brings it about
        await asyncio.sleep(0.001)


async def ending(task: asyncio.Future[Any]) -> str:
    """Wait for a task, and return "done", "cancelled", or the name of its error."""
    await asyncio.wait([task])
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return "done" if error is None else type(error).__name__


class CancellingKernel:
    """A kernel that has its caller's task cancelled before its ``at``-th call, and goes on once the thread knows."""

    def __init__(self, kernel: Kernel, at: int, *, only: Collection[str] = ()) -> None:
        """Count from one the calls that are made in threads of coroutines, or those of them that have these names."""
        self._kernel = kernel
        self._only = only
        self.left = at
        self.called: set[str] = set()
        self.cancel: Callable[[], object] = lambda: None
        self.name = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the kernel has
        value = getattr(self._kernel, name)
        is_counted = callable(value) and (not self._only or name in self._only)
        return self._counted(name, value) if is_counted else value

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it returns
            clock = CLOCK.get()
            if isinstance(clock, StoppableClock):
                self.called.add(name)
                self.left -= 1
                if self.left == 0:
                    self.name = name
                    self.cancel()
                    assert clock._is_over.wait(PATIENCE_SECONDS)
            return call(*arguments, **options)

        return counted


def cancelled_in(kernel: CancellingKernel, work: Work) -> str:
    """Run a coroutine over that kernel, and tell how it ended."""

    async def run() -> str:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        kernel.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        return await ending(task)

    return asyncio.run(run())


def as_kernel(kernel: CancellingKernel) -> Kernel:
    """Take it for the one that it stands before."""
    return cast("Kernel", kernel)
