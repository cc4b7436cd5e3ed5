"""``ntt-loops attach``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.nodes import add_partitions
from ntt_loops.cli.output import echo_json, echo_path
from ntt_loops.cli.parameters import attach_options, image_argument, json_option, timeout_option
from ntt_loops.cli.stopping import undone_when_ended
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting


@click.command("attach", cls=Verb)
@image_argument
@attach_options
@timeout_option(10.0)
@json_option
def command(image: str, medium: str | None, offset: int, timeout: float, *, writable: bool, as_json: bool) -> Exit:  # noqa: PLR0913 - its options
    """Attach IMAGE until it is released, and print the device's path.

    For a shell: dev=$(ntt-loops attach disk.img). It outlives the script that made it: where that is not wanted,
    'ntt-loops run' detaches whatever happens.
    """
    with undone_when_ended():
        _attach(Path(image), timeout, as_json=as_json, medium=medium, offset_bytes=offset, writable=writable)
    return Exit.DONE


def _attach(path: Path, timeout: float, *, as_json: bool, **how: Any) -> None:
    with waiting(list, timeout, otherwise="the image's storage, or for another process that works on the same medium"):
        device = ntt_loops.attach_kept(path, timeout=timeout, **how)
    try:
        add_partitions(device)
        if as_json:
            echo_json(device.to_dict())
        else:
            echo_path(str(device))
        sys.stdout.flush()
    except BaseException:  # nobody got to know of it, so nobody would release it
        ntt_loops.release(device)
        raise
