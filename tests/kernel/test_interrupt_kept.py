"""An interrupt that is kept, as a debugger or a log of errors does, keeps with its traceback no lock."""

from __future__ import annotations

import gc
import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._backoff import Deadline
from tests.support.forked import elsewhere
from tests.support.interrupts import Interrupter
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: One point in so many is tried.
STRIDE = 5


def _interrupted(work: Callable[[], object], at: int) -> KeyboardInterrupt | None:
    """Run a function, interrupt it at that point, and return the exception; None where it ended before."""
    sys.settrace(Interrupter(at))
    try:
        work()
    except KeyboardInterrupt as interrupt:
        return interrupt
    finally:
        sys.settrace(None)
    return None


def _keep_each(run_dir: Path, image: Path, work: Callable[[Loops, Path], object]) -> list[int]:
    """Interrupt a function here and there, keep what was raised, and return where the ledger stayed locked."""
    warnings.simplefilter("ignore", ResourceWarning)
    loops = Loops(run_dir)
    work(loops, image)
    loops.release_all(image.stem)
    gc.collect()
    gc.freeze()
    locked, at = [], 1
    while (kept := _interrupted(partial(work, loops, image), at)) is not None:
        try:
            loops._world().ledger.locked(image.stem, Deadline.after(0)).close()
        except OSError:
            locked.append(at)
        del kept
        gc.collect()
        loops.release_all(image.stem)
        at += STRIDE
    loops.release_all(image.stem)
    return [at, *locked]


def _scoped(loops: Loops, image: Path) -> None:
    with loops.attached(image):
        pass


def _kept(loops: Loops, image: Path) -> None:
    loops.attach_kept(image)


@pytest.mark.parametrize("work", [_scoped, _kept])
def test_no_ledger_stays_locked(tmp_path: Path, work: Callable[[Loops, Path], object]) -> None:
    """Wherever an interrupt hit, the medium's ledger is free while its traceback lives: others attach and release."""
    at, *locked = elsewhere(partial(_keep_each, tmp_path / "run", new_image(tmp_path), work))
    assert at > 100
    assert locked == []
