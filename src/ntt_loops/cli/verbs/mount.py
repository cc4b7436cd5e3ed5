"""``ntt-loops mount``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.failures import complain
from ntt_loops.cli.output import Cell, echo_json, echo_path, echo_table, is_terminal
from ntt_loops.cli.parameters import (
    image_argument,
    json_option,
    medium_option,
    root_option,
    timeout_option,
)
from ntt_loops.cli.stopping import undone_when_ended
from ntt_loops.cli.text import size
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting

if TYPE_CHECKING:
    from ntt_loops import MountedMedium, MountedPartition


@click.command("mount", cls=Verb)
@image_argument
@medium_option
@root_option
@timeout_option(120.0)
@json_option
def command(image: str, medium: str | None, root: str, timeout: float, *, as_json: bool) -> Exit:
    """Mount what is on IMAGE, read-only, and print the folder: DIR/<medium>, with p1, p2... where there are several.

    What is mounted already is left as it is, and that is success. No journal is replayed: the image does not change.
    """
    path = Path(image)
    others = "mount(8), or for another process that mounts the same medium"
    with undone_when_ended(), waiting(list, timeout, otherwise=others):
        found = ntt_loops.mount_medium(path, medium=medium, root=root, timeout=timeout)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show(found)
    return Exit.DONE


def _show(found: MountedMedium) -> None:
    echo_path(str(found.mount_point))
    if is_terminal():
        echo_table(("DEVICE", "STATUS", "TYPE", "SIZE", "MOUNTED AT"), [_row(one) for one in found.partitions])
    for one in found.partitions:
        if one.status != "ok":
            complain(f"{one.device} is not mounted, {one.status}" + (f": {one.error}" if one.error else ""))


def _row(one: MountedPartition) -> list[Cell | str]:
    status = Cell(one.status, "green" if one.status == "ok" else "yellow")
    return [one.device, status, one.fstype or "-", size(one.size_bytes), str(one.mount_point or "-")]
