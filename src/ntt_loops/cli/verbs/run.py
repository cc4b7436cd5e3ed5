"""``ntt-loops run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli import failures
from ntt_loops.cli.child import run_child
from ntt_loops.cli.nodes import add_partitions
from ntt_loops.cli.output import echo_json
from ntt_loops.cli.parameters import attach_options, image_argument, json_option, timeout_option
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops import LoopAttachment


@click.command("run", cls=Verb)
@image_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND {}...")
@attach_options
@timeout_option(10.0)
@json_option
def command(  # noqa: PLR0913 - its options
    image: str,
    command: Sequence[str],
    medium: str | None,
    offset: int,
    timeout: float,
    *,
    writable: bool,
    as_json: bool,
) -> int:
    """Attach IMAGE, run COMMAND with the device in place of each {}, and detach whatever happens.

    COMMAND finds the device in NTT_LOOPS_DEVICE as well. Signals pass through to it. The exit status is COMMAND's own,
    126 or 127 where it cannot be run, 128+N where signal N ended it; 75 only if it succeeded and the detach did not.

    \b
    ntt-loops run disk.img -- dd if={} of=copy.img
    ntt-loops run disk.img -- sh -c 'blkid "$NTT_LOOPS_DEVICE"'
    """  # noqa: D301 - click's mark for lines as they are
    attachment = ntt_loops.attached(Path(image), medium=medium, offset_bytes=offset, writable=writable, timeout=timeout)
    with waiting(list, timeout, otherwise="the image's storage, or for another process that works on the same medium"):
        device = str(attachment.__enter__())
    facts = {"medium": attachment.medium, "image": str(attachment.device.image), "device": device}
    try:
        add_partitions(attachment.device)
        status = run_child([word.replace("{}", device) for word in command], {**os.environ, "NTT_LOOPS_DEVICE": device})
    finally:
        error = _detach(attachment, device, timeout)
    if as_json:
        detach_error = None if error is None else failures.plain(error)
        echo_json({**facts, "status": status, "detach_error": detach_error}, one_line=True)
    if error is None:
        return status
    return status or failures.status_of(error)


def _detach(attachment: LoopAttachment, device: str, timeout: float) -> OSError | ValueError | None:
    try:
        with waiting(lambda: [device], timeout):
            attachment.close()
    except (OSError, ValueError) as error:
        failures.tell(error)
        return error
    return None
