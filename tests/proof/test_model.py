"""P1 to P6: random histories of several media, processes and strangers, against a simple model, after each step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.extent import is_whole
from tests.proof.machine_calls import Calls
from tests.proof.machine_users import Ours
from tests.support.stage import LinuxStage, MemoryStage, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = 50
#: How many machines of so many steps.
MACHINES = {"linux": 140 if is_whole() else 4, "memory-rundown": 140 if is_whole() else 12}
MACHINES["memory-synchronous"] = MACHINES["memory-rundown"]


class Machine(Ours, Calls):
    """Everything that can happen, one at a time."""

    def teardown(self) -> None:
        """Everybody goes; then one release of each medium leaves nothing of ours, on record or attached."""
        try:
            self._end()
        finally:
            for actor in self.actors.values():
                actor.kill()
            self.stage.world.end()
        self.steps["machines"] += 1

    def _end(self) -> None:
        for who in list(self.actors):
            self.kill(who)
        while self.current_uses():
            self.let_go(0)
        self.nothing_else_has_changed()  # a namespace ends a moment after its process
        for who in (0, 2):
            for place in range(len(self.media)):
                self.release_all_of_a_medium(who, place, unmount=False)
        self.nothing_else_has_changed()
        assert [one for one in self.host.devices if one.place is not None] == []
        left = [path.name for run_dir in self.run_dirs if run_dir.exists() for path in run_dir.iterdir()]
        assert [name for name in left if ".aside-" not in name] == []


def stages(name: str, folder: Path) -> Callable[[], Stage]:
    """Return what makes one stage after the other, each in a folder of its own."""
    numbers = iter(range(1_000_000))

    def make() -> Stage:
        below = folder / f"{next(numbers)}" / "stage"
        below.mkdir(parents=True)
        return LinuxStage(below) if name == "linux" else MemoryStage(below, rundown=name == "memory-rundown")

    return make


@pytest.mark.parametrize("name", list(MACHINES))
def test_a_model(name: str, tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """Whatever happened: what is bound, armed, mounted, known and freed is what the model says."""
    steps: Counter[str] = Counter()
    make = stages(name, tmp_path)
    run_state_machine_as_test(
        cast("Any", lambda: Machine(make(), steps)),
        settings=settings(
            max_examples=MACHINES[name],
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    for what, count in steps.items():
        record(f"{what}, {name}", count)
    assert steps["steps"] > MACHINES[name] * STEPS / 2
