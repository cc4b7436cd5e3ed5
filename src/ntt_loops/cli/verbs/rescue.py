"""``ntt-loops rescue``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.failures import complain
from ntt_loops.cli.output import Cell, echo, echo_json
from ntt_loops.cli.parameters import device_argument, file_argument, json_option, timeout_option
from ntt_loops.cli.progress import shown
from ntt_loops.cli.stopping import undone_when_ended
from ntt_loops.cli.targets import device_of
from ntt_loops.cli.text import command_line, size
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.who import clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops import RescueReport


@click.command("rescue", cls=Verb)
@device_argument
@file_argument
@click.option("--part", is_flag=True, help="Also from a device that shows a part of the image only.")
@timeout_option(10.0)
@json_option
def command(device: str, file: str, timeout: float, *, part: bool, as_json: bool) -> Exit:
    """Copy a deleted image back from DEVICE, which still has it, to FILE, which is not there yet.

    The device is read twice and the copy read back, until all three agree; then FILE gets its name. Nothing is
    released, and an interrupt leaves nothing. What the device does not show is named as lost.
    """
    with undone_when_ended(), shown("reading, again, and the copy") as progress:
        report = ntt_loops.rescue(
            device_of(device) or device, Path(file), part=part, progress=progress, timeout=timeout
        )
    if as_json:
        echo_json(report.to_dict())
    else:
        _show(report)
    for sentence in _warnings(report):
        complain(sentence)
    return Exit.DONE


def _show(report: RescueReport) -> None:
    data = size(report.size_bytes - report.hole_bytes)
    echo("rescued ", Cell(str(report.file), "bold"), f": {size(report.size_bytes)}, {data} of them not zero")
    echo(f"sha256 {report.sha256}, of {report.device} read twice and of the file")
    echo(f"the device still has it: {command_line(['ntt-loops', 'release', report.device])}")


def _warnings(report: RescueReport) -> Iterator[str]:
    for one in report.lost:
        end = "on" if one.end_bytes is None else f"to {one.end_bytes}"
        yield f"warning: of {report.image} is not in it what was from byte {one.start_bytes} {end}: {one.why}"
    for holder in report.holders:
        yield f"warning: {report.device} can be written to, and {clause(holder)}: what comes later is not in the copy"
