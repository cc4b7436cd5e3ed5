"""The world that each test of the contract is run in: the kernel in memory, in its two ages, and the real one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from tests.support.world_linux import LinuxWorld, missing_abilities
from tests.support.world_memory import MemoryWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ntt_loops._kernel import Kernel
    from tests.support.world import Ability, World

WORLDS: dict[str, Callable[[Path], World]] = {
    "memory-rundown": functools.partial(MemoryWorld, rundown=True),
    "memory-synchronous": functools.partial(MemoryWorld, rundown=False),
    "linux": LinuxWorld,
}
MARKS = {"linux": [pytest.mark.kernel]}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, [])) for name in WORLDS])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A kernel with the rest of the world around it."""
    made = WORLDS[request.param](tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def kernel(world: World) -> Kernel:
    """The kernel of that world."""
    return world.kernel


@pytest.fixture
def can(world: World) -> Callable[[Ability], None]:
    """Skip a test whose world lacks an ability."""
    lacking = missing_abilities() if isinstance(world, LinuxWorld) else frozenset()

    def check(ability: Ability) -> None:
        if ability in lacking:
            pytest.skip(f"no {ability} on this machine")

    return check
