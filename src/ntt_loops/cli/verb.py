"""What all verbs have in common: how they end, well or not."""

from __future__ import annotations

import sys

import click

from ntt_loops.cli import failures, reports
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import echo_json


class Verb(click.Command):
    """A command whose function returns an Exit, and whose errors are sentences."""

    def invoke(self, ctx: click.Context) -> None:
        """Run it and leave with its status.

        Raises:
            click.exceptions.Exit: Always, but for Ctrl-C and misuse.
        """
        from ntt_loops.cli import streams  # noqa: PLC0415 - logging is not for --help

        streams.set_up()
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            streams.give_up_stdout()
            status = Exit.BROKEN_PIPE
        except (OSError, ValueError) as error:
            if ctx.params.get("as_json"):
                echo_json(failures.plain(error))
            else:
                reports.show_done(error)
            status = failures.tell(error)
        ctx.exit(int(status))
