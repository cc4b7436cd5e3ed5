"""``ntt-loops attach``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import echo_json
from ntt_loops.cli.parameters import attach_options, image_argument, json_option, timeout_option
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
    path = Path(image)
    with waiting(list, timeout, otherwise="the image's storage, or for another process that works on the same medium"):
        device = ntt_loops.attach_kept(path, medium=medium, offset_bytes=offset, writable=writable, timeout=timeout)
    try:
        if as_json:
            echo_json(device.to_dict())
        else:
            click.echo(device.path)
        sys.stdout.flush()
    except BaseException:  # nobody got to know of it, so nobody would release it
        ntt_loops.release(device)
        raise
    return Exit.DONE
