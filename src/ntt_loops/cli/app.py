"""The command ``ntt-loops`` with its verbs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.verbs.attach import attach
from ntt_loops.cli.verbs.listing import list_
from ntt_loops.cli.verbs.mount import mount, unmount
from ntt_loops.cli.verbs.release import release
from ntt_loops.cli.verbs.run import run_
from ntt_loops.cli.verbs.sweep import sweep
from ntt_loops.cli.verbs.why import why

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "ntt-loops"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ntt_loops.__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def app() -> None:
    """Loop devices that cannot leak.

    \b
    See what is attached:             ntt-loops list
    Attach, use, detach:              ntt-loops run disk.img -- blkid {}
    Let all devices of a medium go:   ntt-loops release 536a933b
    Who keeps that device?            ntt-loops why /dev/loop7
    Devices of deleted images:        ntt-loops sweep --system --dry-run

    Exit status: 0 done, 1 error, 2 usage, 75 somebody uses it.
    """  # noqa: D301 - click's mark for lines as they are


for _verb in (list_, attach, release, sweep, mount, unmount, why, run_):
    app.add_command(_verb)


def run(arguments: Sequence[str] | None) -> int:
    """Run it and return the exit status."""
    try:
        status = app.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.Abort:  # Ctrl-C
        click.echo(f"{PROGRAM}: interrupted", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    return status if isinstance(status, int) else Exit.DONE
