"""``ntt-loops unmount``."""

from __future__ import annotations

from pathlib import Path

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import echo_json
from ntt_loops.cli.parameters import json_option, medium_argument, root_option, timeout_option
from ntt_loops.cli.reports import show_all_gone
from ntt_loops.cli.targets import Target, devices_of, target
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting


@click.command("unmount", cls=Verb)
@medium_argument
@root_option
@timeout_option(30.0)
@json_option
def command(medium: str, root: str, timeout: float, *, as_json: bool) -> Exit:
    """Unmount all of MEDIUM, never lazily, detach all its devices, and remove its folders."""
    found = target(medium)
    with waiting(lambda: devices_of(found), timeout, otherwise="another process that works on the same medium"):
        report = ntt_loops.unmount_medium(_medium_of(found), root=root, timeout=timeout)
    if as_json:
        echo_json(report.to_dict())
    else:
        show_all_gone(report, medium)
    return Exit.DONE


def _medium_of(found: Target) -> str:
    """Return the medium that is meant: a file's is the one under which it is attached, else that of its name."""
    if found.medium is not None:
        return found.medium
    if found.device is not None:
        message = f"{found.device} is a device: 'ntt-loops release --unmount {found.device}' unmounts and detaches it"
        raise ntt_loops.MediumError(message, device=found.device)
    media = {one.medium for one in found.of(ntt_loops.list_devices()) if one.medium is not None}
    return media.pop() if len(media) == 1 else ntt_loops.attached(Path(str(found.image))).medium
