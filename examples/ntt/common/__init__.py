"""What the NTT programs share: exit statuses and the hash; locks and files that are whole or not there; copying."""

from __future__ import annotations

from examples.ntt.common.program import FAILURES, Exit, checked_hash, exit_of, is_hash, run_program, say, worst

__all__ = [
    "FAILURES",
    "Exit",
    "checked_hash",
    "exit_of",
    "is_hash",
    "run_program",
    "say",
    "worst",
]
