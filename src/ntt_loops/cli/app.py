"""The command ``ntt-loops`` with its verbs."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "ntt-loops"

#: The verbs, each with its line in the help; each is ``command`` in the module of its name, imported when it is run.
VERBS = {
    "list": "List the host's loop devices: by medium, and those of others.",
    "why": "Tell who keeps a device, and the command that makes it go.",
    "run": "Attach an image, run a command, and detach whatever happens.",
    "attach": "Attach an image until it is released; print the device's path.",
    "mount": "Mount what is on an image, read-only; print the folder.",
    "unmount": "Unmount all of a medium and detach all its devices.",
    "release": "Detach all devices of a medium or an image, or one device.",
    "sweep": "Detach devices of deleted images that nobody uses.",
    "rescue": "Copy a deleted image back from the device that still has it.",
    "doctor": "Tell whether this machine keeps the promises.",
    "metrics": "Print how the host's loop devices stand, for Prometheus.",
}


class Verbs(click.Group):
    """Imports a verb when it is needed: --version and --help need none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Return the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"ntt_loops.cli.verbs.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click has it
        """Write the verbs' lines."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
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
