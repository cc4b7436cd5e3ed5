"""From what a terminal shows to an SVG."""

from __future__ import annotations

import html
import io
import re
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_COLUMNS: Final = 100
#: What rich draws: a run of characters of one style.
_RUN: Final = re.compile(r'(<text [^>]*x=")([\d.]+)("[^>]*textLength=")([\d.]+)("[^>]*>)([^<]*)(</text>)')
_BLANK: Final = "\N{NO-BREAK SPACE}"
#: What stands in one column: words with single blanks between them.
_COLUMN: Final = re.compile(rf"[^{_BLANK}]+(?:{_BLANK}[^{_BLANK}]+)*")
#: rich asks a host on the net for its font; a document is read without.
_FETCHED: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def drawn(name: str, shown: str) -> str:
    """Return the picture of a terminal that shows this, colours and all; the name keeps its styles apart on a page."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.from_ansi(shown))
    svg = console.export_svg(title="", theme=MONOKAI, unique_id=f"terminal-{name}")
    svg = _FETCHED.sub("", svg).replace("Fira Code", "ui-monospace, DejaVu Sans Mono")
    return _RUN.sub(_without_blanks, svg).rstrip() + "\n"


def _without_blanks(run: re.Match[str]) -> str:
    """Draw each column by itself: some programs leave out blanks, or have a font of another width."""
    head, x, middle, length, tail, text, end = run.groups()
    characters = html.unescape(text)
    width = float(length) / len(characters)
    return "".join(
        f"{head}{float(x) + part.start() * width:.1f}{middle}{len(part[0]) * width:.1f}{tail}{_escaped(part[0])}{end}"
        for part in _COLUMN.finditer(characters)
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace(_BLANK, "&#160;")


def words(svg: str) -> list[str]:
    """Return the words in a picture, each number as N; lines that tell of one device each may come in any order."""
    alike = groupby(_lines(svg), key=lambda line: line.split()[0])
    return [word for _, lines in alike for line in sorted(lines) for word in line.split()]


def _lines(svg: str) -> list[str]:
    lines: dict[str, list[str]] = {}
    for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        lines.setdefault(y, []).append(html.unescape(text).replace(_BLANK, " "))
    ages = (re.sub(r"\b\d+ (s|min)\b", "AGE", " ".join(parts)) for parts in lines.values())
    return [re.sub(r"\d+", "N", line) for line in ages if line.strip()]
