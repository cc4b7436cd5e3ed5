"""P1, P2, P5: a system call that fails is a typed error, or one that is tried again; and nothing leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proof import judge
from tests.proof.extent import errors, points_of
from tests.proof.scenarios import SCENARIOS, Scenario
from tests.support.injection import DONE, failed_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: What changes something, and what gets a descriptor.
CALLS = frozenset(
    (
        "ioctl",
        "openat",
        "read",
        "pread64",
        "write",
        "flock",
        "rename",
        "unlink",
        "unlinkat",
        "mkdir",
        "fsync",
        "truncate",
        "ftruncate",
        "pwrite64",
        "linkat",
    )
)
#: No read of a regular file or of sysfs says that there is nothing to read yet.
NEVER = {"EAGAIN": frozenset(("read", "pread64"))}


@pytest.mark.parametrize("error", errors())
@pytest.mark.parametrize("make", SCENARIOS)
def test_failed_at_every_step(
    make: Callable[[Path], Scenario], error: str, tmp_path: Path, record: Callable[[str, int], None]
) -> None:
    """Whichever call fails: it is done all the same, or one of the library's own errors says that it is not."""
    log = tmp_path / "strace"
    points = [step for step in points_of(make, tmp_path, log) if step.call in CALLS - NEVER.get(error, frozenset())]
    problems = []
    for step in points:
        scenario = make(tmp_path)
        ended = failed_at(step, error, scenario.work, log)
        if ended.outcome != DONE and not (ended.outcome or "").startswith("ntt_loops.errors."):
            problems.append(f"{error} at {step}: {ended}")
        problems += [f"{error} at {step}: {what}" for what in judge.after(scenario)]
    record(f"{make.__name__}, {error}", len(points))
    assert problems == []
