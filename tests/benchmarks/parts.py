"""The parts that can be chosen, in the order that they are run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks import budget, cycle, growth, interpreter, processes, release, scale, start, sweep, users

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.measuring import Row
    from tests.benchmarks.place import Place


class Part(NamedTuple):
    """One subject."""

    measure: Callable[[Place], list[Row]]
    #: The contender that the others of a case are told as multiples of.
    reference: str = ""
    #: Whether its table has a column for each case.
    is_matrix: bool = False


PARTS: Final = {
    "cycle": Part(cycle.measure, cycle.PYTHON),
    "release": Part(release.measure, release.BARE),
    "sweep": Part(sweep.measure, sweep.BARE),
    "scale": Part(scale.measure, is_matrix=True),
    "processes": Part(processes.measure, is_matrix=True),
    "start": Part(start.measure),
    "holders": Part(users.measure),
    "growth": Part(growth.measure, is_matrix=True),
    "budget": Part(budget.measure),
    "interpreter": Part(interpreter.measure),
}
