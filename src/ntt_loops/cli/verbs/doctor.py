"""``ntt-loops doctor``."""

from __future__ import annotations

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import Cell, echo, echo_json, echo_table
from ntt_loops.cli.parameters import json_option, timeout_option
from ntt_loops.cli.text import count
from ntt_loops.cli.verb import Verb

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@click.command("doctor", cls=Verb)
@timeout_option(10.0)
@json_option
def command(timeout: float, *, as_json: bool) -> Exit:
    """Tell whether this machine keeps the promises, and what to do where it does not.

    A small image of its own is attached and released. The exit status is 1 where something failed; a warning is none.
    """
    report = ntt_loops.check_machine(timeout=timeout)
    if as_json:
        echo_json(report.to_dict())
    else:
        _show(report)
    return Exit.DONE if report.keeps_promises else Exit.ERROR


def _show(report: ntt_loops.MachineReport) -> None:
    rows: list[list[Cell | str]] = []
    for one in report.checks:
        rows.append([Cell(one.status, _STYLES[one.status]), one.name, one.found])
        rows += [["", "", Cell(f"-> {one.advice}", "bold")]] if one.advice else []
    echo_table(("STATUS", "CHECK", "FOUND"), rows)
    failed, warnings = (sum(one.status == status for one in report.checks) for status in ("failed", "warning"))
    verdict = "keeps the promises" if report.keeps_promises else "does not keep the promises"
    echo(f"This machine {verdict}: {failed} failed, {count(warnings, 'warning')}.")
