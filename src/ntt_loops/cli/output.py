"""What goes to stdout: JSON, tables, lines.

On a terminal it is coloured; no line is ever wrapped or cut, so that each path and command can be copied whole.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from ntt_loops.cli.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text


class Cell(NamedTuple):
    """A text, and how a terminal shows it, in rich's words."""

    text: str
    style: str = ""


def echo_json(value: object, *, one_line: bool = False) -> None:
    """Print plain data as JSON, in ASCII: also a name that is no UTF-8 comes through, as lone surrogates."""
    import json  # noqa: PLC0415 - not for --help

    click.echo(json.dumps(value, indent=None if one_line else 2))


def echo(*cells: Cell | str) -> None:
    """Print one line."""
    line = list(map(_cell, cells))
    if is_terminal():
        console().print(text_of([line]), soft_wrap=True)
    else:
        click.echo("".join(visible(cell.text) for cell in line).rstrip())


def text_of(lines: Sequence[Sequence[Cell]]) -> Text:
    """Return lines as rich has them."""
    from rich.text import Text  # noqa: PLC0415 - only where there is a terminal

    parts = [Text.assemble(*((visible(text), style) for text, style in line)) for line in lines]
    return Text("\n").join(parts)


def echo_path(path: str) -> None:
    """Print a path alone: what does not print is made visible on a terminal only; a program gets the very bytes."""
    if is_terminal():
        echo(path)
    else:
        click.echo(os.fsencode(path))


def echo_table(header: Sequence[str], rows: Sequence[Sequence[Cell | str]], *, indent: str = "") -> None:
    """Print rows below a header, in columns; the last one is of any length, and a row of one cell is a heading."""
    for line in table(header, rows):
        echo(indent, *line)


def table(header: Sequence[str], rows: Sequence[Sequence[Cell | str]]) -> list[list[Cell]]:
    """Return the lines of such a table."""
    lines = [[Cell(name, "bold") for name in header], *([_cell(cell) for cell in row] for row in rows)]
    columns = zip(*(line for line in lines if len(line) > 1), strict=True)
    widths = [max(len(visible(cell.text)) for cell in column) for column in columns]
    return [
        [*(_padded(cell, width + 2) for cell, width in zip(line[:-1], widths, strict=False)), line[-1]]
        for line in lines
    ]


def _padded(cell: Cell, width: int) -> Cell:
    return Cell(visible(cell.text).ljust(width), cell.style)


def is_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout.isatty()


def _cell(cell: Cell | str) -> Cell:
    return Cell(cell) if isinstance(cell, str) else cell


def console() -> Console:
    """Return stdout as rich has it."""
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal

    return Console(markup=False, emoji=False, highlight=False)
