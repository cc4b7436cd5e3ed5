"""``ntt-loops why``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import ntt_loops
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import Cell, echo, echo_json, echo_table
from ntt_loops.cli.parameters import device_argument, json_option, timeout_option
from ntt_loops.cli.reasons import commands, facts, rescue, users, verdict
from ntt_loops.cli.targets import device_of
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.who import state

if TYPE_CHECKING:
    from ntt_loops import DeviceState


@click.command("why", cls=Verb)
@device_argument
@timeout_option(10.0)
@json_option
def command(device: str, timeout: float, *, as_json: bool) -> Exit:
    """Tell who keeps DEVICE, and the command that makes it go."""
    node = device_of(device) or device_of(f"/dev/{device}")
    if node is None:
        message = f"{device} is no loop device: it looks like /dev/loop7; 'ntt-loops list' shows those in use"
        raise ValueError(message)
    found = next(iter(ntt_loops.list_devices(node, timeout=timeout)), None)
    if as_json:
        echo_json(_plain(node, found))
    elif found is None:
        echo(Cell(verdict(node, None), "green"))
    else:
        _show(found)
    return Exit.DONE


def _plain(node: str, found: DeviceState | None) -> dict[str, Any]:
    if found is None:
        return {"device": node, "is_bound": False, "verdict": verdict(node, None), "commands": []}
    return {
        **found.to_dict(),
        "is_bound": True,
        "state": state(found),
        "verdict": verdict(node, found),
        "commands": [command for command, _ in commands(found)],
        "rescue": rescue(found),
    }


def _show(found: DeviceState) -> None:
    echo(Cell(verdict(found.device, found), "bold red" if found.holders or found.is_stuck else "bold green"))
    echo()
    for name, value in facts(found):
        echo(Cell(f"  {name:<9}", "dim"), value)
    held = users(found)
    if held:
        echo()
        rows = [[one.kind, str(one.pid or "-"), one.command or "-", one.device, one.where or "-"] for one in held]
        echo_table(("HOLDER", "PID", "COMMAND", "NODE", "WHERE"), rows, indent="  ")
    saves = rescue(found)
    if saves is not None:
        echo()
        echo("Deleted by mistake? Before it goes:")
        echo("  ", Cell(saves, "bold"))
    echo()
    echo("To let it go:")
    lines = commands(found)
    width = max((len(command) for command, _ in lines), default=0)
    for command, remark in lines:
        echo(
            "  ",
            Cell(command.ljust(width) if remark else command, "bold"),
            Cell(f"  # {remark}" if remark else "", "dim"),
        )
