"""What Linux does with loop devices, wrapped and nothing more: no policy, no retry, no logging.

``Kernel`` is the seam: ``LinuxKernel`` asks the real one, ``ntt_loops.testing.MemoryKernel`` plays it, and both pass
one contract suite. The F-numbers in comments are those of docs/kernel-facts.md.
"""

from __future__ import annotations

from ntt_loops._kernel.protocol import Handle, Kernel, NoNodeError, StuckError
from ntt_loops._kernel.values import (
    BoundDevice,
    LoopConfig,
    LoopFlags,
    LoopStatus,
    Mount,
    Opener,
    PartitionNode,
    Probe,
    Process,
    StackedDevice,
    Surroundings,
    TableEntry,
)

__all__ = [
    "BoundDevice",
    "Handle",
    "Kernel",
    "LoopConfig",
    "LoopFlags",
    "LoopStatus",
    "Mount",
    "NoNodeError",
    "Opener",
    "PartitionNode",
    "Probe",
    "Process",
    "StackedDevice",
    "StuckError",
    "Surroundings",
    "TableEntry",
]
