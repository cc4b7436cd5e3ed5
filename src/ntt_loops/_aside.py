"""Calls that a coroutine waits for: each is made in a thread of its own, and told to end once nobody wants it any more.

Only what is awaited imports this, and asyncio. It is not done by asyncio's own threads: they are few, and a call that
waits for a device would keep from them the very exit that lets this device go.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from ntt_loops._backoff import CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ASKED_SECONDS = 0.1
logger = logging.getLogger("ntt_loops")


class Stopped(BaseException):
    """The call is to end now, as by KeyboardInterrupt; never leaves the library."""


class StoppableClock:
    """A clock whose time is over as soon as another thread says so: whoever waits by it wakes up."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._is_to_raise = False

    def stop(self, *, by_raising: bool) -> None:
        """Let no deadline by this clock have any time left, or raise ``Stopped``, once, where it is next asked."""
        self._is_to_raise = by_raising
        self._is_over.set()

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds; once stopped, more than any deadline is at."""
        if not self._is_over.is_set():
            return time.monotonic()
        self._raise_once()
        return math.inf

    def sleep(self, seconds: float) -> None:
        """Sleep until it is stopped."""
        if self._is_over.wait(seconds):
            self._raise_once()

    def _raise_once(self) -> None:
        """Raise where that was asked for; what is undone on the way out is not disturbed a second time."""
        if self._is_to_raise:
            self._is_to_raise = False
            raise Stopped


def at_once(work: Callable[[], T]) -> T:
    """Make a call here and let it wait for nothing: each of its deadlines has passed."""
    clock = StoppableClock()
    clock.stop(by_raising=False)
    return _context(clock).run(work)


def _context(clock: StoppableClock) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(CLOCK.set, clock)
    return context


class Errand(Generic[T]):
    """A call in a thread of its own.

    Args:
        work: The call.
        by_raising: Whether a cancellation ends it where it next looks at the clock, as Ctrl-C would, or else leaves it
            to do all that it does without waiting.
        unwanted: Undoes it where the coroutine is thrown away, as when its event loop was closed. It must not wait.
    """

    def __init__(
        self, work: Callable[[], T], *, by_raising: bool = True, unwanted: Callable[[], object] | None = None
    ) -> None:
        self._loop = _running_loop()
        self._work = work
        self._by_raising = by_raising
        self._unwanted = unwanted
        self._clock = StoppableClock()
        self._told: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        self._is_wanted = True
        self._is_over = False
        self._results: list[T] = []
        self._error: BaseException | None = None

    @property
    def has_returned(self) -> bool:
        """Whether the call has come to its end without an error."""
        return bool(self._results)

    async def result(self) -> T:
        """Make the call, and return or raise what it did.

        Cancelled, it tells the call to end, waits until it has, however often it is cancelled meanwhile, and lets the
        cancellation go on.
        """
        self._start()
        try:
            await self._ended()
        except asyncio.CancelledError as cancelled:
            self._note(cancelled)
            raise
        except GeneratorExit:
            self._abandon()
            raise
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback has this frame: what the call worked on would be kept
        return self._results[0]

    def _start(self) -> None:
        thread = threading.Thread(target=_context(self._clock).run, args=(self._run,), name="ntt_loops")
        try:
            thread.start()
        except RuntimeError:  # no thread can be had: then here, and without waiting for anything
            self._clock.stop(by_raising=False)
            _context(self._clock).run(self._run)

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the coroutine
            self._error = error
        with self._lock:
            self._is_over = True
            is_wanted = self._is_wanted
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:  # the event loop is closed
            is_wanted = False
        if not is_wanted:
            self._undo()

    def _tell(self) -> None:
        if not self._told.done():
            self._told.set_result(None)

    async def _ended(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not (self._told.done() or (cancelled is not None and self._is_over)):
            try:
                # A second Ctrl-C may hit the very step that tells: once cancelled, it is asked for as well.
                await asyncio.wait([self._told], timeout=None if cancelled is None else _ASKED_SECONDS)
            except asyncio.CancelledError as error:
                self._clock.stop(by_raising=self._by_raising)
                cancelled = cancelled or error
        try:
            if cancelled is not None:
                raise cancelled
        finally:
            del cancelled  # as above

    def _note(self, cancelled: asyncio.CancelledError) -> None:
        """Let nothing that the call found wrong be lost with the cancellation that goes on."""
        error, self._error = self._error, None
        own = [] if error is None or isinstance(error, Stopped) else [str(error) or repr(error)]
        for one in [*own, *getattr(error, "__notes__", ())]:
            cancelled.add_note(f"ntt_loops, when it was cancelled: {one}")
            logger.warning("cancelled: %s", one)

    def _abandon(self) -> None:
        """End the call, and see that what it has done is undone: by its thread, or here if that is over."""
        self._clock.stop(by_raising=self._by_raising)
        with self._lock:
            self._is_wanted = False
            is_over = self._is_over
        if is_over:
            self._undo()

    def _undo(self) -> None:
        with self._lock:
            undo, self._unwanted = self._unwanted, None
        if undo is not None and self.has_returned:
            at_once(undo)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        message = "no event loop of asyncio runs here: use the plain form, in a thread of your own framework's"
        raise RuntimeError(message) from None


def has_loop() -> bool:
    """Whether there is an event loop here that could be waited in: not where a coroutine is thrown away."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
