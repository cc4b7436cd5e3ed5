"""P1, P2: a process that is killed at any system call leaves nothing that is not found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proof import judge
from tests.proof.extent import points_of, signals
from tests.proof.scenarios import SCENARIOS, Scenario
from tests.support.injection import DONE, killed_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.injection import Step

#: The count of calls varies with the devices that others have on this machine: where they had more of them when the
#: calls were listed, most points are never reached.
PASSES = 3


@pytest.mark.parametrize("signal", signals())
@pytest.mark.parametrize("make", SCENARIOS)
def test_killed_at_every_step(
    make: Callable[[Path], Scenario], signal: str, tmp_path: Path, record: Callable[[str, int], None]
) -> None:
    """Wherever a signal ends it: the kernel frees the device, or release_all finds it; and the next run works."""
    for _ in range(PASSES):
        points, reached, problems = _killed(make, signal, tmp_path)
        assert problems == []
        if reached > len(points) / 2:
            break
    else:
        pytest.fail(f"of {len(points)} points only {reached} were reached")
    record(f"{make.__name__}, {signal}", reached)


def _killed(make: Callable[[Path], Scenario], signal: str, folder: Path) -> tuple[list[Step], int, list[str]]:
    """Try each point; return them, how many were reached, and what was wrong."""
    log = folder / "strace"
    points = points_of(make, folder, log)
    reached, problems = 0, []
    for step in points:
        scenario = make(folder)
        ended = killed_at(step, signal, scenario.work, log)
        reached += ended.outcome != DONE
        problems += [f"{signal} at {step}: {what}" for what in judge.after(scenario)]
    return points, reached, problems
