"""A sweep whose outcome is put on record, for whoever watches that sweeps are made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from ntt_loops._ledger import LastSweep, last_sweep
from ntt_loops._medium.sweep import sweep
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.plan import Scope
    from ntt_loops._medium.reports import SweepReport


def recorded_sweep(kernel: Kernel, ledger: Ledger, scope: Scope, deadline: Deadline) -> SweepReport:
    """Sweep once, and put on record how it went, also if that was not well."""
    began = kernel.uptime()
    report: SweepReport | None = None
    try:
        report = sweep(kernel, ledger, scope, deadline)
    finally:
        problem = _put(ledger, _outcome(report, kernel.uptime() - began))
    return report if problem is None else attrs.evolve(report, problems=(*report.problems, problem))


def _outcome(report: SweepReport | None, seconds: float) -> LastSweep:
    if report is None:
        return LastSweep(time.time(), seconds, "failed")
    return LastSweep(
        time=time.time(),
        duration_seconds=seconds,
        outcome="problems" if report.problems else "done",
        released=len(report.released),
        kept=len(report.kept),
        freed_bytes=report.freed_bytes,
    )


def _put(ledger: Ledger, outcome: LastSweep) -> str | None:
    """Put it on record; return in words why that could not be."""
    try:
        last_sweep.put(ledger, outcome)
    except LedgerError as error:
        return str(error)
    return None
