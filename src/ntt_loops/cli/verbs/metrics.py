"""``ntt-loops metrics``."""

from __future__ import annotations

import click

from ntt_loops.cli.exits import Exit
from ntt_loops.cli.measures import measures
from ntt_loops.cli.output import echo_json
from ntt_loops.cli.parameters import json_option, output_option, timeout_option
from ntt_loops.cli.verb import Verb


@click.command("metrics", cls=Verb)
@output_option
@timeout_option(10.0)
@json_option
def command(output: str | None, timeout: float, *, as_json: bool) -> Exit:
    """Print how the host's loop devices stand, for Prometheus.

    The format is that of node_exporter's textfile collector, which reads a file that --output has written.
    """
    if as_json:
        if output is not None:
            message = "--output is for Prometheus; --json is printed"
            raise click.UsageError(message)
        echo_json(measures(timeout))
        return Exit.DONE
    from ntt_loops.cli import exposition  # noqa: PLC0415 - prometheus_client is an extra, which --json needs not

    registry = exposition.registry_of(measures(timeout))
    if output is None:
        click.echo(exposition.text_of(registry), nl=False)
    else:
        exposition.write(registry, output)
    return Exit.DONE
