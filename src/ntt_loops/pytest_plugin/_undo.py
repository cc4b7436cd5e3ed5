"""Undoing what a test left, so that the next one starts clean."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ntt_loops._kernel.linux import LinuxKernel
from ntt_loops._loops import Loops
from ntt_loops.errors import NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops.pytest_plugin._leak import Leak

_TIMEOUT_SECONDS: Final = 5.0


def undo(leaks: Sequence[Leak], run_dir: Path) -> None:
    """Unmount and release what is of the test run's own files, as far as nobody uses it.

    A device that is on no ledger is released with one in ``run_dir``, which is made for that.
    """
    for leak in reversed(leaks):
        if leak.mount_point is not None:
            with contextlib.suppress(OSError):  # it is busy, or its storage does not answer: it stays, and is named
                LinuxKernel().unmount(leak.mount_point, within=_TIMEOUT_SECONDS)
    for leak in reversed(leaks):
        if leak.image is not None:
            loops = Loops(run_dir if leak.world is None else leak.world.ledger.run_dir)
            with contextlib.suppress(NttLoopsError):  # it is in use, or not ours to release: it stays, and is named
                loops.release_all(Path(os.fsdecode(leak.image)), unmount=True, timeout=_TIMEOUT_SECONDS)
