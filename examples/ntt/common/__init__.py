"""What the NTT programs share: exit statuses and the hash; locks and files that are whole or not there; copying."""

from __future__ import annotations

from examples.ntt.common.program import Exit, checked_hash, run_program, say

__all__ = [
    "Exit",
    "checked_hash",
    "run_program",
    "say",
]
