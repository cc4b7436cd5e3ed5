"""What a release did, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops.cli.failures import complain
from ntt_loops.cli.output import Cell, echo
from ntt_loops.cli.text import size

if TYPE_CHECKING:
    from ntt_loops import ReleaseReport


def show_release(report: ReleaseReport) -> None:
    """Print what went and what was left alone."""
    for released in report.released:
        freed = f", {size(released.freed_bytes)} freed" if released.freed_bytes else ""
        echo("released ", Cell(released.device, "bold"), f" of {released.image}{freed}")
    for gone in report.already_gone:
        echo(f"{gone.device} of {gone.image} was gone already")
    for left in report.left:
        echo(f"left {left.device} alone: it is of {left.image}")
    for problem in report.problems:
        complain(problem)


def show_done(error: OSError | ValueError) -> None:
    """Print what was done before something stood against the rest."""
    report = getattr(error, "report", None)
    if report is not None:
        show_release(report)


def show_all_gone(report: ReleaseReport, of: str) -> None:
    """Print it, and that there was nothing where there was nothing."""
    show_release(report)
    if not (report.released or report.already_gone):
        echo(f"nothing of {of} was attached")
