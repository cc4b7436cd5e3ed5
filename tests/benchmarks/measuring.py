"""Contenders in turn, so that noise hits all of them alike; the median, and the quartiles as its spread."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@attrs.frozen
class Row:
    """What was measured of one contender in one case; without samples ``missing`` says why."""

    case: str
    contender: str
    quantity: str = "time"
    unit: str = "us"
    median: float = 0.0
    low: float = 0.0
    high: float = 0.0
    samples: int = 0
    missing: str = ""

    @classmethod
    def of(
        cls, case: str, contender: str, samples: Sequence[float], *, quantity: str = "time", unit: str = "us"
    ) -> Row:
        """Return the median and the quartiles of samples."""
        low, high = quartiles(samples)
        return cls(case, contender, quantity, unit, statistics.median(samples), low, high, len(samples))


def quartiles(samples: Sequence[float]) -> tuple[float, float]:
    """Return the first and third quartile; of fewer than three samples the least and the greatest."""
    if len(samples) < 3:
        return min(samples), max(samples)
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


class Contender(NamedTuple):
    """Who is measured: a function that does its work once and returns the microseconds of one operation."""

    name: str
    sample: Callable[[], float] | None
    missing: str = ""


def timed(
    work: Callable[[], object],
    *,
    times: int = 1,
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
) -> Callable[[], float]:
    """Return a sample of ``work``: microseconds a call, without what comes before and after."""

    def sample() -> float:
        if before is not None:
            before()
        begin = time.perf_counter_ns()
        for _ in range(times):
            work()
        taken = time.perf_counter_ns() - begin
        if after is not None:
            after()
        return taken / times / 1000

    return sample


def interleaved(case: str, contenders: Iterable[Contender], *, rounds: int, warm_up: int) -> list[Row]:
    """Let all contenders run once a round, in an order that is drawn anew; those that are missing are rows, too."""
    listed = list(contenders)
    able = [one for one in listed if one.sample is not None]
    taken: dict[str, list[float]] = {one.name: [] for one in able}
    for turn in range(warm_up + rounds):
        for one in random.sample(able, len(able)):
            assert one.sample is not None
            microseconds = one.sample()
            if turn >= warm_up:
                taken[one.name].append(microseconds)
    return [
        Row.of(case, one.name, taken[one.name]) if one.name in taken else Row(case, one.name, missing=one.missing)
        for one in listed
    ]


def to_plain(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON has them, rounded to what can be meant."""
    return [{name: _rounded(value) for name, value in attrs.asdict(row).items()} for row in rows]


def _rounded(value: object) -> object:
    return float(f"{value:.5g}") if isinstance(value, float) else value
