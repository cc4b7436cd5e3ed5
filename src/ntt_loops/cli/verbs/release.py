"""``ntt-loops release``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import ntt_loops
from ntt_loops.cli import failures
from ntt_loops.cli.exits import Exit, worst
from ntt_loops.cli.output import echo_json
from ntt_loops.cli.parameters import json_option, targets_argument, timeout_option
from ntt_loops.cli.reports import show_all_gone, show_done
from ntt_loops.cli.targets import Target, devices_of, target
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.waiting import waiting

if TYPE_CHECKING:
    from ntt_loops import ReleaseReport


@click.command("release", cls=Verb)
@targets_argument
@click.option("--unmount", is_flag=True, help="First unmount, never lazily, what is mounted from them.")
@timeout_option(10.0)
@json_option
def command(targets: tuple[str, ...], timeout: float, *, unmount: bool, as_json: bool) -> Exit:
    """Detach all devices of a medium or an image, or one device, whoever attached them.

    A device in use stays, and is named with who uses it. Each argument is tried; the exit status is the worst.

    MEDIUM is an id, or 8 to 15 hex digits with which only one of the attached media begins. An argument that names a
    file is that file; a path (with a '/') also stands for a deleted file that was there.
    """
    results = [_release(text, timeout, unmount=unmount, as_json=as_json) for text in targets]
    if as_json:
        freed = sum((plain.get("report") or plain).get("freed_bytes", 0) for plain, _ in results)
        echo_json({"targets": [plain for plain, _ in results], "freed_bytes": freed})
    return worst(status for _, status in results)


def _release(text: str, timeout: float, *, unmount: bool, as_json: bool) -> tuple[dict[str, Any], Exit]:
    try:
        found = target(text)
        with waiting(lambda: devices_of(found), timeout, otherwise="another process that works on the same medium"):
            report = release_target(found, timeout, unmount=unmount)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        if not as_json:
            show_done(error)
        return {"target": text, **failures.plain(error)}, failures.tell(error)
    if not as_json:
        show_all_gone(report, text)
    return {"target": text, **report.to_dict()}, Exit.DONE


def release_target(found: Target, timeout: float, *, unmount: bool) -> ReleaseReport:
    """Release what an argument stands for."""
    if found.device is not None:
        return ntt_loops.release(found.device, unmount=unmount, timeout=timeout)
    if found.image is not None:
        return ntt_loops.release_all(found.image, unmount=unmount, timeout=timeout)
    return ntt_loops.release_all(str(found.medium), unmount=unmount, timeout=timeout)
