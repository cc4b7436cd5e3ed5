"""Loop devices without root: a kernel in memory, for tests of what uses them."""

from __future__ import annotations

from ntt_loops.testing._memory import MemoryKernel
from ntt_loops.testing._swap import in_memory

__all__ = ["MemoryKernel", "in_memory"]
