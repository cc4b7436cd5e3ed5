"""Waiting: one deadline for a whole call, and jittered, growing pauses up to it.

The only module that knows tenacity. It is imported at the first wait, so that a call which never waits does not
pay for it.
"""

from __future__ import annotations

import math
import random
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    import tenacity

T = TypeVar("T")

#: The first pause is at most this long, each later one at most twice the one before. Another opener (udev, a scan of
#: sysfs by losetup) is gone after a few milliseconds (F26, F36); most waits end within the first three pauses.
FIRST_PAUSE_SECONDS = 0.002
#: Whatever is longer is as good as this; a float holds it, and time.sleep takes it.
LONGEST_SECONDS = 1e8
#: No pause is longer: a device that is let go is noticed within a quarter of a second.
LONGEST_PAUSE_SECONDS = 0.25


class Clock(Protocol):
    """What time is taken from; tests give one that does not wait."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; a signal handler that raises ends it early."""
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
#: The clock of the calls that are made in this context: one that is to end when another thread says so has its own.
CLOCK: ContextVar[Clock] = ContextVar("clock", default=SYSTEM_CLOCK)


class NotYet(Exception):  # noqa: N818 - control flow between a try and its retry; never leaves the library
    """A try found the thing busy: worth another one until the deadline."""


@attrs.frozen
class Deadline:
    """The moment by which a call returns."""

    at: float
    clock: Clock = SYSTEM_CLOCK

    @classmethod
    def after(cls, timeout: float, clock: Clock | None = None) -> Deadline:
        """Return the deadline ``timeout`` seconds from now; ValueError for a negative or not-a-number one."""
        if not isinstance(timeout, (int, float)) or not 0 <= timeout <= math.inf:
            message = f"timeout is a number of seconds, zero or more, not {timeout!r}"
            raise ValueError(message)
        clock = CLOCK.get() if clock is None else clock
        return cls(clock.monotonic() + min(timeout, LONGEST_SECONDS), clock)

    @property
    def remaining(self) -> float:
        """Seconds that are left, never below zero."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self.clock.monotonic() >= self.at

    def sooner(self, seconds: float) -> Deadline:
        """Return the deadline that many seconds from now, or this one if it comes first."""
        return Deadline(min(self.at, self.clock.monotonic() + seconds), self.clock)

    def pause(self, attempt: int) -> None:
        """Sleep before try number ``attempt + 1``: random up to a bound that doubles, cut at the deadline."""
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 16))
        self.clock.sleep(min(random.uniform(0, bound), self.remaining))  # noqa: S311 - jitter


def retry(attempt: Callable[[], T], deadline: Deadline, *, gave_up: Callable[[], BaseException] = NotYet) -> T:
    """Call ``attempt`` until it does not raise NotYet; at the deadline raise what ``gave_up`` returns.

    The first call comes at once, also when the deadline has passed.
    """
    try:
        return attempt()
    except NotYet:
        if deadline.expired:
            raise gave_up() from None
    deadline.pause(1)
    try:
        return _retrying(deadline)(attempt)
    except NotYet:
        raise gave_up() from None


def _retrying(deadline: Deadline) -> tenacity.Retrying:
    import tenacity  # noqa: PLC0415 - costs more than a whole attach; needed only where something was busy

    def pause_seconds(state: tenacity.RetryCallState) -> float:
        return min(float(jittered(state)), deadline.remaining)

    def is_over(_: tenacity.RetryCallState) -> bool:
        return deadline.expired

    jittered = tenacity.wait_random_exponential(multiplier=2 * FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotYet),
        wait=pause_seconds,
        stop=is_over,
        sleep=deadline.clock.sleep,
        reraise=True,
    )


def wait_until(condition: Callable[[], bool], deadline: Deadline) -> bool:
    """Ask until ``condition`` holds; return whether it did by the deadline."""

    def attempt() -> None:
        if not condition():
            raise NotYet

    try:
        retry(attempt, deadline)
    except NotYet:
        return False
    return True
