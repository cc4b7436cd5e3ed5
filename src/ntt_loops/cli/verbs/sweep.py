"""``ntt-loops sweep``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.failures import complain
from ntt_loops.cli.output import Cell, echo, echo_json
from ntt_loops.cli.parameters import json_option, seconds, timeout_option, under_option
from ntt_loops.cli.text import command_line, count, size
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.who import who

if TYPE_CHECKING:
    from ntt_loops import SweepReport


@click.command("sweep", cls=Verb)
@click.option("--dry-run", is_flag=True, help="Change nothing, and tell what would be done.")
@under_option
@click.option("--system", is_flag=True, help="Every device of the host whose image is deleted.")
@click.option("--kept-older-than", type=seconds, metavar="TIME", help="Also kept devices of that age, such as 7d.")
@timeout_option(10.0)
@json_option
def command(  # noqa: PLR0913 - its options
    under: tuple[str, ...], kept_older_than: float | None, timeout: float, *, dry_run: bool, system: bool, as_json: bool
) -> Exit:
    """Detach devices that nobody uses and whose image is deleted; forget records of what is gone.

    Without an option only those that ntt_loops attached. A device in use is kept in any case, and that is no error.
    """
    report = ntt_loops.sweep(
        under=under, system=system, kept_older_than=kept_older_than, dry_run=dry_run, record=True, timeout=timeout
    )
    if as_json:
        echo_json(report.to_dict())
    else:
        _show(report)
    for problem in report.problems:
        complain(problem)
    return Exit.ERROR if report.problems else Exit.DONE


def _show(report: SweepReport) -> None:
    released, forgot, adopted = (
        ("would release", "would forget", "would put on record")
        if report.dry_run
        else ("released", "forgot", "put on record")
    )
    for one in report.released:
        echo(f"{released} ", Cell(one.device, "bold"), f" of {one.image}, {size(one.freed_bytes)}")
    for record in report.forgotten:
        why = "gone" if record.reason == "gone" else "of another boot"
        echo(f"{forgot} {record.device} of {record.image}: {why}")
    for made in report.adopted:
        echo(f"{adopted} {made.device} of {made.image}")
    for kept in report.kept:
        held = "".join(f", {who(holder)}" for holder in kept.holders)
        echo("kept ", Cell(kept.device, "bold"), f" of {kept.image}: {kept.reason}{held}")
    for image in report.rescuable:
        echo("deleted by mistake? ", command_line(["ntt-loops", "rescue", image.device, f"{image.image}.rescued"]))
    done = count(len(report.released), "device")
    echo(f"{released} {done}, kept {len(report.kept)}, {size(report.freed_bytes)} " + _freed(report))


def _freed(report: SweepReport) -> str:
    return "would come back" if report.dry_run else "came back"
