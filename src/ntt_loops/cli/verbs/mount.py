"""``ntt-loops mount`` and ``ntt-loops unmount``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.failures import complain
from ntt_loops.cli.output import Cell, echo, echo_json, echo_table, is_terminal
from ntt_loops.cli.parameters import (
    image_argument,
    json_option,
    medium_argument,
    medium_option,
    root_option,
    timeout_option,
)
from ntt_loops.cli.reports import show_release
from ntt_loops.cli.targets import Target, target
from ntt_loops.cli.text import size
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting

if TYPE_CHECKING:
    from ntt_loops import MountedMedium, MountedPartition


@click.command(cls=Verb, short_help="Mount what is on IMAGE, read-only, and print the folder.")
@image_argument
@medium_option
@root_option
@timeout_option(120.0)
@json_option
def mount(image: str, medium: str | None, root: str, timeout: float, *, as_json: bool) -> Exit:
    """Mount what is on IMAGE, read-only, and print the folder: DIR/<medium>, with p1, p2... where there are several.

    What is mounted already is left as it is, and that is success. No journal is replayed: the image does not change.
    """
    path = Path(image)
    with waiting(list, timeout, otherwise="another process that works on the same medium"):
        found = ntt_loops.mount_medium(path, medium=medium, root=root, timeout=timeout)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show(found)
    return Exit.DONE


def _show(found: MountedMedium) -> None:
    echo(str(found.mount_point))
    if is_terminal():
        echo_table(("DEVICE", "STATUS", "TYPE", "SIZE", "MOUNTED AT"), [_row(one) for one in found.partitions])
    for one in found.partitions:
        if one.status != "ok":
            complain(f"{one.device} is not mounted, {one.status}" + (f": {one.error}" if one.error else ""))


def _row(one: MountedPartition) -> list[Cell | str]:
    status = Cell(one.status, "green" if one.status == "ok" else "yellow")
    return [one.device, status, one.fstype or "-", size(one.size_bytes), str(one.mount_point or "-")]


@click.command(cls=Verb, short_help="Unmount all of MEDIUM and detach all its devices.")
@medium_argument
@root_option
@timeout_option(30.0)
@json_option
def unmount(medium: str, root: str, timeout: float, *, as_json: bool) -> Exit:
    """Unmount all of MEDIUM, never lazily, detach all its devices, and remove its folders."""
    found = target(medium)
    with waiting(lambda: _devices(found), timeout, otherwise="another process that works on the same medium"):
        report = ntt_loops.unmount_medium(_medium_of(found), root=root, timeout=timeout)
    if as_json:
        echo_json(report.to_dict())
    else:
        show_release(report, medium)
    return Exit.DONE


def _devices(found: Target) -> list[str]:
    return [one.device for one in found.of(ntt_loops.list_devices())]


def _medium_of(found: Target) -> str:
    """Return the medium that is meant: a file's is the one under which it is attached, else that of its name."""
    if found.medium is not None:
        return found.medium
    if found.device is not None:
        message = f"{found.device} is a device: 'ntt-loops release --unmount {found.device}' unmounts and detaches it"
        raise ntt_loops.MediumError(message, device=found.device)
    media = {one.medium for one in found.of(ntt_loops.list_devices()) if one.medium is not None}
    return media.pop() if len(media) == 1 else ntt_loops.attached(Path(str(found.image))).medium
