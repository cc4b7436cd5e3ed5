"""The goals, what was measured of each, and whether it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.benchmarks import budget, cycle, growth, release, scale, start, sweep
from tests.benchmarks.tables import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Results = Mapping[str, Any]

__all__ = ["GOALS", "Goal", "verdict", "verdicts"]


class Goal(NamedTuple):
    """What is to be reached: ``measured`` is at most, or at least, ``limit``; KeyError where it was not measured."""

    what: str
    limit: float
    measured: Callable[[Results], float]
    unit: str = "x"
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether that value is good enough."""
        return value >= self.limit if self.is_least else value <= self.limit

    def target(self) -> str:
        """Return the limit in words."""
        return f"{'at least' if self.is_least else 'at most'} {_told(self.limit, self.unit)}"


def median(results: Results, part: str, contender: str, case: str | None = None, quantity: str | None = None) -> float:
    """Return a median; KeyError where nobody measured it."""
    for row in results["parts"][part]["rows"]:
        if row["contender"] != contender or row["missing"] or case not in (None, row["case"]):
            continue
        if quantity in (None, row["quantity"]):
            return float(row["median"])
    raise KeyError(contender)


def _ratio(part: str, contender: str, reference: str) -> Callable[[Results], float]:
    return lambda results: median(results, part, contender) / median(results, part, reference)


def _slowed(results: Results) -> float:
    """Return how much slower a cycle is with 1,000 others, over what the bare ioctls are."""
    library, bare = (
        median(results, "scale", one, scale.case(1000)) / median(results, "scale", one, scale.case(0))
        for one in (scale.CYCLE, scale.BARE)
    )
    return library / bare


def _over(contender: str, dependencies: str) -> Callable[[Results], float]:
    """Return milliseconds of a process beyond those of its dependencies."""
    return lambda results: (median(results, "start", contender) - median(results, "start", dependencies)) / 1000


def _grown(quantity: str, *, since_the_middle: bool) -> Callable[[Results], float]:
    def measured(results: Results) -> float:
        middle, end = (
            median(results, "growth", growth.CONTENDER, growth.case(cycles), quantity) for cycles in (5_000, 10_000)
        )
        return end - middle if since_the_middle else end

    return measured


GOALS: Final = (
    Goal("a cycle, ledger on tmpfs, over the bare ioctls from Python", 2.2, _ratio("cycle", cycle.TMPFS, cycle.PYTHON)),
    Goal("`losetup`, `losetup -d` over a cycle", 12.0, _ratio("cycle", cycle.LOSETUP, cycle.TMPFS), is_least=True),
    Goal(
        f"`release_all` of {release.DEVICES} devices, each, over bare open, CLR_FD, close",
        3.5,
        _ratio("release", release.OWN, release.BARE),
    ),
    Goal(
        "the bash loop over `sweep(system=True)`, 1,000 devices, 100 orphans",
        15.0,
        _ratio("sweep", sweep.BASH, sweep.LIBRARY),
        is_least=True,
    ),
    Goal("a cycle with 1,000 others over one with none, against the same of the bare ioctls", 1.1, _slowed),
    Goal(f"{start.LIBRARY}, beyond {start.DEPENDENCIES}", 10.0, _over(start.LIBRARY, start.DEPENDENCIES), "ms"),
    Goal(f"{start.VERSION}, beyond {start.CLICK}", 15.0, _over(start.VERSION, start.CLICK), "ms"),
    Goal("descriptors more after 10,000 cycles", 0.0, _grown(growth.DESCRIPTORS, since_the_middle=False), ""),
    Goal("memory that the second 5,000 cycles add", 64.0, _grown(growth.MEMORY, since_the_middle=True), "KiB"),
)


def verdict(goal: Goal, results: Results) -> tuple[str, str]:
    """Return what was measured, and "met", "missed" or "not measured"."""
    try:
        value = goal.measured(results)
    except KeyError:
        return "", "not measured"
    return _told(value, goal.unit), "met" if goal.is_met(value) else "**missed**"


def _told(value: float, unit: str) -> str:
    return f"{value:.3g}{unit}" if unit == "x" else amount(value, unit)


def verdicts(results: Results) -> str:
    """Return the goals beside what was measured, as a Markdown table."""
    lines = ["| what | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        measured, word = verdict(goal, results)
        lines.append(f"| {goal.what} | {goal.target()} | {measured} | {word} |")
    return "\n".join([*lines, "", _where_it_goes(results)]).rstrip()


def _where_it_goes(results: Results) -> str:
    """Return what the first goal is made of, so that a miss has its reason next to it."""
    try:
        shares = [
            [median(results, "budget", one, budget.WHOLE, quantity) for quantity in budget.QUANTITIES]
            for one in (cycle.TMPFS, cycle.PYTHON)
        ]
    except KeyError:
        return ""
    (whole, user, system), (bare_whole, bare_user, bare_system) = ([amount(one, "us") for one in row] for row in shares)
    return (
        f"Of the {whole} of a cycle the processor spends {system} in the kernel and {user} in the interpreter; "
        f"of the {bare_whole} of the bare ioctls, {bare_system} and {bare_user}."
    )
