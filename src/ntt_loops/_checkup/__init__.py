"""Does this machine keep the promises? What is looked at, what it means, and what to do."""

from __future__ import annotations

from ntt_loops._checkup.checkup import check_machine
from ntt_loops._checkup.values import Check, MachineReport

__all__ = ["Check", "MachineReport", "check_machine"]
