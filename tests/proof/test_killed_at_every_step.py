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


@pytest.mark.parametrize("signal", signals())
@pytest.mark.parametrize("make", SCENARIOS)
def test_killed_at_every_step(
    make: Callable[[Path], Scenario], signal: str, tmp_path: Path, record: Callable[[str, int], None]
) -> None:
    """Wherever a signal ends it: the kernel frees the device, or release_all finds it; and the next run works."""
    log = tmp_path / "strace"
    points = points_of(make, tmp_path, log)
    problems = []
    reached = 0
    for step in points:
        scenario = make(tmp_path)
        ended = killed_at(step, signal, scenario.work, log)
        reached += ended.outcome != DONE  # the count of calls varies with what others do on this machine
        problems += [f"{signal} at {step}: {what}" for what in judge.after(scenario)]
    record(f"{make.__name__}, {signal}", reached)
    assert problems == []
    assert reached > len(points) / 2
