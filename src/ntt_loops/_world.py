"""What every ``Loops`` works on: a kernel, and a ledger folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ntt_loops._ledger import Ledger

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel

#: Where the ledger lies: gone with the machine, as its devices are.
RUN_DIR = "/run/ntt-loops"
#: Long enough for udev and a stage's last reader to go, short enough for a person to wait.
TIMEOUT_SECONDS = 10.0


class World(NamedTuple):
    """What the methods work on."""

    kernel: Kernel
    ledger: Ledger


class HasWorld:
    """The part of ``Loops`` that its methods, in several files, have in common."""

    def __init__(self, run_dir: str | os.PathLike[str] = RUN_DIR, kernel: Kernel | None = None) -> None:
        kernel = _linux() if kernel is None else kernel
        self._own = World(kernel, Ledger(run_dir, kernel))

    def __repr__(self) -> str:
        return f"Loops({os.fspath(self._world().ledger.run_dir)!r})"

    def _world(self) -> World:
        """Return the kernel and the ledger that the methods work on."""
        return self._own


def _linux() -> Kernel:
    from ntt_loops._kernel.linux import LinuxKernel  # noqa: PLC0415 - this module is imported on other systems too

    return LinuxKernel()
