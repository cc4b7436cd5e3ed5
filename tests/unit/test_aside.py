"""Calls in threads of their own: what becomes of them when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ntt_loops._aside import Errand, StoppableClock, Stopped, at_once, has_loop
from ntt_loops._backoff import CLOCK, SYSTEM_CLOCK, Deadline, NotYet, retry, wait_until
from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = contextvars.ContextVar("NAME", default="")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Whatever became of a call, its thread ends."""
    yield
    oracle.wait_until(lambda: "ntt_loops" not in {one.name for one in threading.enumerate()}, "all threads have ended")


def never() -> bool:
    """Wait for what does not come, by the clock of this call."""
    return wait_until(lambda: False, Deadline.after(math.inf))


def test_a_clock_goes_as_the_systems_until_it_is_stopped() -> None:
    """It takes the time from CLOCK_MONOTONIC, and sleeps as long as it is told."""
    clock = StoppableClock()
    before = time.monotonic()
    deadline = Deadline.after(1000, clock)
    clock.sleep(0.001)
    assert before + 0.001 <= clock.monotonic() <= time.monotonic()
    assert 0 < deadline.remaining < 1000
    assert not deadline.expired


def test_a_stopped_clock_leaves_no_deadline_any_time() -> None:
    """Neither one from before, nor one that is made afterwards, an endless one included; and nothing sleeps."""
    clock = StoppableClock()
    before = Deadline.after(math.inf, clock)
    clock.stop(by_raising=False)
    for deadline in (before, before.sooner(60), Deadline.after(math.inf, clock), Deadline.after(5, clock)):
        assert (deadline.expired, deadline.remaining) == (True, 0)
        deadline.pause(1000)
        assert not wait_until(lambda: False, deadline)
        with pytest.raises(NotYet):
            retry(raising, deadline)
    clock.sleep(1e8)


def raising() -> None:
    """Be not there yet."""
    raise NotYet


@pytest.mark.parametrize("ask", ["monotonic", "sleep"])
def test_a_clock_raises_once(ask: str) -> None:
    """Stopped so, it ends the call where it is asked next, and lets its ``finally`` blocks ask again."""
    clock = StoppableClock()
    clock.stop(by_raising=True)
    with pytest.raises(Stopped):
        clock.sleep(1e8) if ask == "sleep" else clock.monotonic()
    clock.sleep(1e8)
    assert clock.monotonic() == math.inf


def test_a_call_that_is_made_at_once_waits_for_nothing() -> None:
    """Its deadlines have passed; those of other calls have not."""
    assert not at_once(never)
    assert CLOCK.get() is SYSTEM_CLOCK


def test_a_call_is_made_in_the_callers_context() -> None:
    """What logging and tracing keep in a ContextVar is there, and what the call sets is not seen by the caller."""

    def work() -> tuple[str, bool]:
        name = NAME.get()
        NAME.set("other")
        return name, has_loop()

    async def main() -> None:
        NAME.set("mine")
        assert await Errand(work).result() == ("mine", False)
        assert NAME.get() == "mine"
        assert has_loop()
        assert CLOCK.get() is SYSTEM_CLOCK

    asyncio.run(main())


def test_an_error_of_the_call_is_raised_as_it_is() -> None:
    """With the place where it came from, and without a cycle that would keep what it worked on."""

    class Kept:
        pass

    async def main() -> None:
        kept = Kept()
        ended.append(Errand(lambda: raise_about(kept)))
        with pytest.raises(LookupError) as caught:
            await ended[0].result()
        assert "raise_about" in {entry.name for entry in caught.traceback}

    ended: list[Errand[None]] = []
    asyncio.run(main())
    assert not ended[0].has_returned


def raise_about(value: object) -> None:
    """Raise."""
    raise LookupError(value)


@pytest.mark.parametrize("by_raising", [False, True])
def test_a_cancellation_ends_an_endless_wait(*, by_raising: bool) -> None:
    """The thread has ended when the cancellation goes on, however often it came."""

    async def main() -> None:
        errand = Errand(never, by_raising=by_raising)
        task = asyncio.create_task(errand.result())
        await asyncio.sleep(0.01)
        for _ in range(3):
            task.cancel("enough")
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert errand.has_returned is not by_raising
        assert task.cancelled()

    asyncio.run(main())


def test_what_went_wrong_is_noted_on_the_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    """An error that the call ends with, and what was noted on the one that ended it, are told and logged."""

    def failing() -> None:
        never()
        error = LookupError("lost")
        error.add_note("for ever")
        raise error

    async def main() -> None:
        task = asyncio.create_task(Errand(failing, by_raising=False).result())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.__notes__ == [
            "ntt_loops, when it was cancelled: lost",
            "ntt_loops, when it was cancelled: for ever",
        ]

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["cancelled: lost", "cancelled: for ever"]


@pytest.mark.parametrize("is_over", [False, True], ids=["at work", "over"])
def test_a_coroutine_that_is_thrown_away_has_its_call_undone(*, is_over: bool) -> None:
    """Its event loop was closed: the call ends, and is undone once, though nobody can be told any more."""
    begun, go_on = threading.Event(), threading.Event()
    undone: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait()

    async def waiting() -> None:
        await Errand(work, unwanted=lambda: undone.append(threading.current_thread().name)).result()

    loop = asyncio.new_event_loop()
    coroutine = waiting()
    with closing(loop):
        task = loop.create_task(coroutine)
        loop.call_soon(loop.stop)
        loop.run_forever()
        begun.wait()
    if is_over:
        go_on.set()
        oracle.wait_until(lambda: bool(undone), "its thread has undone it")
    coroutine.close()
    go_on.set()
    oracle.wait_until(lambda: bool(undone), "the call is undone")
    assert undone == ["ntt_loops"]
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # that it is destroyed is what this is about


def test_a_result_that_nobody_came_for_is_undone_where_it_is_thrown_away() -> None:
    """The loop had been told, but was stopped before the coroutine was."""
    undone: list[str] = []
    errand = []

    async def waiting() -> None:
        errand.append(Errand(lambda: None, unwanted=lambda: undone.append(threading.current_thread().name)))
        await errand[0].result()

    loop = asyncio.new_event_loop()
    coroutine = waiting()
    with closing(loop):
        task = loop.create_task(coroutine)
        loop.call_soon(loop.stop)
        loop.run_forever()
        oracle.wait_until(lambda: errand[0]._is_over, "the call is over")
        assert undone == []
        coroutine.close()
    assert undone == [threading.current_thread().name]
    task._log_destroy_pending = False  # type: ignore[attr-defined] # as above
