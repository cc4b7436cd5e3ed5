"""The fixtures that nobody asks for by name: registered for ``ntt_loops_no_leaks`` only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops.pytest_plugin._guard import watch_run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _no_loop_leaks_in_the_run(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the last test if fixtures wider than a test have left something."""
    yield from watch_run(pytestconfig, tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def _no_loop_leaks_in_any_test(no_loop_leaks: None) -> None:
    """Ask for the fixture."""
