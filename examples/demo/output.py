"""What is printed."""

from __future__ import annotations

import logging
import textwrap
from typing import TYPE_CHECKING

from examples.demo.counting import MAKERS, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from examples.demo.medium import Medium

_WIDTH = 118
_LABEL_WIDTH = 12
_ID_WIDTH = 34
_CELL_WIDTH = 8
_LEGEND = """\
made:  by a stage's 'with' block, by attach_kept (kept), by losetup
gone:  by the kernel with its 'with' block, process or mount; else as it was found: on the ledger, by its tag, by its
       image's inode, by the path of a deleted image, by a hash as file name, or by a sweep since its image is deleted
freed: bytes that the file system got back, where a device was the last to hold a deleted image"""


def headline(text: str) -> None:
    """Begin a new part."""
    print(f"\n{text}", flush=True)


def tell(label: str, text: str) -> None:
    """Print a sentence behind a label, wrapped."""
    start = f"  {label}".ljust(_LABEL_WIDTH)
    behind = " " * _LABEL_WIDTH
    lines = textwrap.wrap(
        text, _WIDTH, initial_indent=start, subsequent_indent=behind, break_on_hyphens=False, break_long_words=False
    )
    print("\n".join(lines), flush=True)


def print_table(media: Iterable[Medium]) -> None:
    """Print what was made and what is gone, medium by medium."""
    headline("Devices")
    print(_row("", ["made:", *[""] * (len(MAKERS) - 1), "gone:", *[""] * (len(WAYS) - 1), ""]))
    print(_row("medium", [*MAKERS, *WAYS, "freed"]))
    for medium in media:
        count = medium.count
        numbers = [*(count.made[one] for one in MAKERS), *(count.gone[one] for one in WAYS), count.freed_bytes]
        print(_row(medium.id, [str(number or "-") for number in numbers]))
    print(_LEGEND)


def _row(first: str, cells: Iterable[str]) -> str:
    return (first.ljust(_ID_WIDTH) + "".join(cell.rjust(_CELL_WIDTH) for cell in cells)).rstrip()


class _Warnings(logging.Handler):
    """Prints what the library warns of, once for each image."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[tuple[object, object]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        key = record.msg, getattr(record, "image", None)
        if key not in self._told:
            self._told.add(key)
            tell("warning", record.getMessage())


def print_warnings() -> None:
    """Let the library's warnings appear among the rest."""
    logger = logging.getLogger("ntt_loops")
    logger.addHandler(_Warnings())
    logger.propagate = False
