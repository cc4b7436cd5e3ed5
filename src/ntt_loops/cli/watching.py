"""A table that is drawn anew, on a terminal, until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from ntt_loops.cli.output import Cell, console, text_of
from ntt_loops.cli.stopping import undone_when_ended
from ntt_loops.cli.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Of the time, looking takes one part and pausing at least this many: a look goes through all processes of the host.
_PAUSES = 4
_SHORTEST_SECONDS = 0.2
#: What a terminal needs beside the lines: one that says how to end it, one that says how many had no room.
_OWN_LINES = 2


def watch(look: Callable[[], Sequence[Sequence[Cell]]], seconds: float) -> NoReturn:
    """Show what ``look`` returns, again after that many seconds; Ctrl-C ends it, and the screen is what it was."""
    from rich.live import Live  # noqa: PLC0415 - only where there is a terminal

    with undone_when_ended(), Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            lines = look()
            live.update(text_of(_fitting(lines, live.console.height, seconds)), refresh=True)
            time.sleep(max(seconds, _SHORTEST_SECONDS, (time.monotonic() - began) * _PAUSES))


def _fitting(lines: Sequence[Sequence[Cell]], height: int, seconds: float) -> list[Sequence[Cell]]:
    head = [Cell(f"{time.strftime('%H:%M:%S')}, every {max(seconds, _SHORTEST_SECONDS):g} s; Ctrl-C ends it", "dim")]
    room = max(0, height - _OWN_LINES)
    more = [[Cell(f"... and {count(len(lines) - room, 'line')} more", "dim")]] if len(lines) > room else []
    return [head, *lines[:room], *more]
