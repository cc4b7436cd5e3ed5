"""The whole library on a kernel in memory, for the length of a ``with`` block."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._default import DEFAULT
from ntt_loops._loops import Loops
from ntt_loops.testing._memory import MemoryKernel

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@contextlib.contextmanager
def in_memory(
    kernel: MemoryKernel | None = None, *, run_dir: str | os.PathLike[str] | None = None
) -> Iterator[MemoryKernel]:
    """Make ``ntt_loops.attached`` and its like work on a kernel in memory, without root and on any system.

    ::

        with in_memory() as kernel:
            with attached(image) as device:   # image is a real file, device.path a name with nothing behind it
                ...
            assert kernel.bound_numbers() == []

    Args:
        kernel: The one to use, with what other processes do to it set up; by default a new one like Linux 6.11.
        run_dir: The ledger folder; by default one that goes at the end.

    Yields:
        The kernel: its controls play the rest of the world.
    """
    kernel = MemoryKernel() if kernel is None else kernel
    with contextlib.ExitStack() as stack:
        if run_dir is None:
            run_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ntt-loops-")), "run")
        stack.enter_context(DEFAULT.replaced_by(Loops(run_dir, kernel)))
        yield kernel
