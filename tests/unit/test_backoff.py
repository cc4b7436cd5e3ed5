"""Waiting: one deadline, and jittered, growing pauses up to it. No test here waits."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest

from ntt_loops._backoff import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SYSTEM_CLOCK,
    Deadline,
    NotYet,
    retry,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mock import MockerFixture


class FakeClock:
    """Time that passes in pauses only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        assert seconds >= 0
        self.pauses.append(seconds)
        self.now += seconds


class Tries:
    """Something that is not yet there so many times."""

    def __init__(self, failures: float) -> None:
        self.failures = failures
        self.count = 0

    def __call__(self) -> str:
        """Try once."""
        self.count += 1
        if self.count <= self.failures:
            raise NotYet
        return "done"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts anywhere but at zero."""
    return FakeClock()


@pytest.fixture
def bounds(mocker: MockerFixture) -> list[tuple[float, float]]:
    """What pauses are drawn between; the longest is taken."""
    drawn: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    mocker.patch.object(random, "uniform", highest)
    return drawn


def raising(error: BaseException) -> Callable[[], None]:
    """Return a try that fails for good."""

    def attempt() -> None:
        raise error

    return attempt


def test_what_works_at_once_is_done_without_a_pause(clock: FakeClock) -> None:
    """The first try comes before any pause, and its answer is returned."""
    assert retry(Tries(0), Deadline.after(10, clock)) == "done"
    assert clock.pauses == []


@pytest.mark.parametrize("late", [0.0, 5.0])
def test_the_first_try_comes_though_no_time_is_left(clock: FakeClock, late: float) -> None:
    """A zero timeout, or a deadline long past, is one try and no pause."""
    deadline = Deadline.after(0, clock)
    clock.now += late
    assert retry(Tries(0), deadline) == "done"
    never = Tries(math.inf)
    with pytest.raises(NotYet):
        retry(never, deadline)
    assert never.count == 1
    assert clock.pauses == []


@pytest.mark.parametrize("failures", [1, 2, 10])
def test_it_is_tried_until_it_works(clock: FakeClock, failures: int) -> None:
    """There is one pause between any two tries, and none after the last."""
    attempt = Tries(failures)
    assert retry(attempt, Deadline.after(10, clock)) == "done"
    assert (attempt.count, len(clock.pauses)) == (failures + 1, failures)


def test_it_stops_at_the_deadline(clock: FakeClock) -> None:
    """The last try is at the deadline, none is after it, and the caller's own error is raised, bare of ours."""
    error = LookupError("gave up")
    tries: list[float] = []

    def attempt() -> None:
        tries.append(clock.now)
        raise NotYet

    with pytest.raises(LookupError) as caught:
        retry(attempt, Deadline.after(3, clock), gave_up=lambda: error)
    assert caught.value is error
    assert error.__suppress_context__
    assert tries[-1] == clock.now == pytest.approx(1003)
    assert max(tries) < 1003 + 1e-9


def test_pauses_grow_up_to_a_bound_and_end_at_the_deadline(clock: FakeClock, bounds: list[tuple[float, float]]) -> None:
    """The first is milliseconds, each at most twice the one before, none over a quarter second; the last is cut."""
    with pytest.raises(NotYet):
        retry(Tries(math.inf), Deadline.after(1.9, clock))
    whole = clock.pauses[:-1]
    assert whole[0] == FIRST_PAUSE_SECONDS
    assert all(one < other <= 2 * one or other == LONGEST_PAUSE_SECONDS for one, other in itertools.pairwise(whole))
    assert max(whole) == LONGEST_PAUSE_SECONDS
    assert clock.pauses[-1] < LONGEST_PAUSE_SECONDS
    assert sum(clock.pauses) == pytest.approx(1.9)
    assert len(bounds) >= len(clock.pauses)


def test_pauses_are_jittered_from_zero(clock: FakeClock, bounds: list[tuple[float, float]]) -> None:
    """Every pause is drawn anew between nothing and its bound: two who collided part."""
    retry(Tries(12), Deadline.after(10, clock))
    assert [high for _, high in bounds] == clock.pauses
    assert {low for low, _ in bounds} == {0}


@pytest.mark.parametrize("failures", [0, 1, 3])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt(), ValueError("x")], ids=repr)
def test_any_other_error_ends_it_at_once(clock: FakeClock, failures: int, error: BaseException) -> None:
    """Only NotYet is worth another try; whatever else comes, at the first try or later, goes to the caller."""
    attempt = Tries(failures)

    def fail() -> None:
        attempt()
        raise error

    with pytest.raises(type(error)) as caught:
        retry(fail, Deadline.after(10, clock), gave_up=LookupError)
    assert caught.value is error
    assert len(clock.pauses) == failures


def test_an_interrupted_pause_ends_it(clock: FakeClock, mocker: MockerFixture) -> None:
    """Ctrl-C while it waits goes to the caller, not into another try."""
    mocker.patch.object(clock, "sleep", side_effect=[None, KeyboardInterrupt])
    attempt = Tries(math.inf)
    with pytest.raises(KeyboardInterrupt):
        retry(attempt, Deadline.after(10, clock))
    assert attempt.count == 2


@pytest.mark.parametrize("timeout", [-1, -0.001, -math.inf, math.nan, "5", None, [1]], ids=repr)
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    """A negative number, NaN and what is no number is a ValueError that shows it."""
    with pytest.raises(ValueError, match="timeout is a number of seconds, zero or more") as caught:
        Deadline.after(timeout)
    assert repr(timeout) in str(caught.value)


def test_a_deadline_tells_what_is_left(clock: FakeClock) -> None:
    """Time counts down to zero and not below, and at the moment itself it is over."""
    deadline = Deadline.after(2.5, clock)
    assert (deadline.remaining, deadline.expired) == (2.5, False)
    clock.now += 2.5
    assert (deadline.remaining, deadline.expired) == (0, True)
    clock.now += 1
    assert (deadline.remaining, deadline.expired) == (0, True)


def test_a_deadline_may_be_never(clock: FakeClock) -> None:
    """An endless timeout waits as long as it takes, in pauses of bounded length."""
    deadline = Deadline.after(math.inf, clock)
    assert retry(Tries(500), deadline) == "done"
    assert max(clock.pauses) <= LONGEST_PAUSE_SECONDS
    assert not deadline.expired


def test_a_sooner_deadline_is_never_later(clock: FakeClock) -> None:
    """A part of a call gets a deadline of its own within that of the call, on the same clock."""
    deadline = Deadline.after(2, clock)
    assert deadline.sooner(0.5) == Deadline(clock.now + 0.5, clock)
    assert deadline.sooner(3) == deadline


def test_a_pause_between_rounds_is_cut_at_the_deadline(clock: FakeClock, bounds: list[tuple[float, float]]) -> None:
    """Rounds pause ever longer, up to the bound, and not beyond the call's end."""
    deadline = Deadline.after(0.3, clock)
    for attempt in (1, 2, 3, 1000, 1000, 1000):
        deadline.pause(attempt)
    assert clock.pauses[:4] == [0.002, 0.004, 0.008, 0.25]
    assert clock.pauses[4:] == pytest.approx([0.036, 0.0])
    assert {low for low, _ in bounds} == {0}


def test_a_condition_is_asked_until_it_holds(clock: FakeClock) -> None:
    """It is True as soon as it holds, False when it did not by the deadline, and asked once where no time is."""
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), Deadline.after(10, clock))
    assert len(clock.pauses) == 2
    assert not wait_until(lambda: False, Deadline.after(1, clock))
    assert wait_until(lambda: True, Deadline.after(0, clock))


def test_an_error_of_a_condition_is_not_taken_for_no() -> None:
    """What a condition raises goes to the caller."""
    with pytest.raises(OSError, match="Input/output error"):
        wait_until(raising(OSError(5, "Input/output error")), Deadline(0.0))  # type: ignore[arg-type]


def test_the_systems_clock_does_not_go_back() -> None:
    """Deadlines are counted on CLOCK_MONOTONIC, which nobody sets, and a pause of nothing returns."""
    first = SYSTEM_CLOCK.monotonic()
    SYSTEM_CLOCK.sleep(0)
    assert SYSTEM_CLOCK.monotonic() >= first
