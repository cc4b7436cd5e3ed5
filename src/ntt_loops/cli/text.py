"""Words and numbers as a terminal may see them.

File and command names are any bytes: an escape sequence in one must not reach the terminal, nor a newline feign a line.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_KIBI = 1024
#: From here on three digits have no room for a fraction.
_WHOLE = 100
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
#: os.fsdecode keeps a byte that is no UTF-8 as one of these.
_ODD_BYTE = re.compile("[\udc80-\udcff]")


def visible(text: str) -> str:
    r"""Return a text with whatever does not print made visible: ``\x1b``, ``\n``, ``\xff``."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    if _ODD_BYTE.match(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def quoted(word: str) -> str:
    """Return a word as a shell takes it: as it is, in quotes, or where it holds what does not print, as ``$'...'``."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_as_bytes(one) for one in word) + "'"


def _as_bytes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def command_line(words: Iterable[str]) -> str:
    """Return a command that can be copied into a shell."""
    return " ".join(quoted(word) for word in words)


def size(size_bytes: int) -> str:
    """Return a size for people: ``1.44 MiB``, with three digits that count."""
    value, unit = float(size_bytes), 0
    while value >= _KIBI and unit < len(_UNITS) - 1:
        value, unit = value / _KIBI, unit + 1
    if unit == 0:
        return f"{size_bytes} B"
    return f"{value:.0f} {_UNITS[unit]}" if value >= _WHOLE else f"{value:.3g} {_UNITS[unit]}"


def age(seconds: float) -> str:
    """Return a time for people, in its largest unit: ``17 s``, ``3 min``, ``5 h``, ``12 d``."""
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, thing: str) -> str:
    """Return ``1 device``, ``2 devices``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
