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
    from collections.abc import Iterator


@contextlib.contextmanager
def in_memory(kernel: MemoryKernel | None = None) -> Iterator[MemoryKernel]:
    """Make ``ntt_loops.attached`` and its like work on a kernel in memory, without root and on any system.

    ::

        with in_memory() as kernel:
            with attached(image) as device:   # image is a real file, device.path a name with nothing behind it
                ...
            assert kernel.bound_numbers() == []

    Args:
        kernel: The one to use, with what other processes do to it set up; by default a new one like Linux 6.11.

    Yields:
        The kernel: its controls play the rest of the world. The ledger lies in a folder that goes at the end.
    """
    kernel = MemoryKernel() if kernel is None else kernel
    with (
        tempfile.TemporaryDirectory(prefix="ntt-loops-") as folder,
        DEFAULT.replaced_by(Loops(Path(folder, "run"), kernel)),
    ):
        yield kernel
