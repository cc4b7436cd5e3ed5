"""How many of the points are tried: a sample in ``make test``, all of them in ``make proof``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tests.support.injection import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.proof.scenarios import Scenario
    from tests.support.injection import Step

#: In a sample so many points of a piece of work are tried.
SAMPLE: Final = 12
#: Calls that only ask: to be killed at one of them is to be killed at the next one that does something.
_ASKS: Final = frozenset(
    (
        *("access", "newfstatat", "fstat", "statx", "statfs", "readlink", "readlinkat", "lseek", "getdents64"),
        *("getpid", "gettid", "geteuid", "getrandom", "clock_gettime", "brk", "mmap", "munmap", "mprotect"),
    )
)
_SIGNALS: Final = ("KILL", "INT", "TERM")
_ERRORS: Final = ("EMFILE", "EIO", "EBUSY", "EAGAIN", "ENOSPC", "EINTR", "ENOMEM", "EPERM")


def is_whole() -> bool:
    """Whether every point is to be tried."""
    return os.environ.get("NTT_LOOPS_PROOF") == "whole"


def signals() -> tuple[str, ...]:
    """Return the signals that are to be tried."""
    return _SIGNALS if is_whole() else _SIGNALS[:2]


def errors() -> tuple[str, ...]:
    """Return the errors that are to be tried."""
    return _ERRORS if is_whole() else _ERRORS[:2]


def points_of(make: Callable[[Path], Scenario], folder: Path, log: Path) -> list[Step]:
    """Return the system calls of a scenario that are to be tried."""
    scenario = make(folder)
    steps = steps_of(scenario.work, log)
    assert steps
    scenario.loops.release_all(scenario.image)
    steps = [step for step in steps if step.call not in _ASKS]
    return steps if is_whole() else steps[:: -(-len(steps) // SAMPLE)]
