"""When storage that did not answer is asked again, and for how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline

#: A server that has not answered in this many seconds is taken for stuck; local storage answers in microseconds.
STUCK_SECONDS = 1.0
#: Also past the deadline a device gets one try.
SHORTEST_SECONDS = 0.25


def within(deadline: Deadline) -> float:
    """Return the seconds that a call which may hang gets now."""
    return min(STUCK_SECONDS, max(deadline.remaining / 2, SHORTEST_SECONDS))


class Questions:
    """The moments at which to ask again: a server may come back.

    First after a second, then after two more, four...; at last a second before the deadline. Not all the time: each
    question may leave a process behind that goes when it is answered.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._pause_seconds = STUCK_SECONDS
        self._moment: float | None = None

    def is_due(self) -> bool:
        """Whether it is time for the next one; the first time that this is asked, one was just put."""
        moment = self.put() if self._moment is None else self._moment
        return not self._deadline.expired and self._deadline.clock.monotonic() >= moment

    def put(self) -> float:
        """Take note that one was put, and not answered; return when the next is due."""
        now = self._deadline.clock.monotonic()
        moment = min(now + self._pause_seconds, self._deadline.at - STUCK_SECONDS)
        self._moment = moment if moment > now else math.inf
        self._pause_seconds *= 2
        return self._moment
