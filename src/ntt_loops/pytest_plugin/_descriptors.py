"""Descriptors of this process that keep a loop device, its image, or a ledger."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Final

from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops.pytest_plugin._leak import Leak

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_FOLDER: Final = b"/proc/self/fd"
#: The private nodes too, which are in a folder of their own.
_NODE: Final = re.compile(rb"/dev/(?:ntt-loops/)?loop(?:\d+(?:p\d+)?|-control)")


def open_now() -> set[tuple[int, bytes]]:
    """Return number and path of each; nothing where there is no /proc."""
    found = set()
    for name in os.listdir(_FOLDER) if os.path.isdir(_FOLDER) else []:
        with contextlib.suppress(FileNotFoundError):  # the one that lists the folder
            found.add((int(name), os.readlink(os.path.join(_FOLDER, name)).removesuffix(DELETED_SUFFIX)))
    return found


def leaks(before: set[tuple[int, bytes]], images: Collection[bytes], folders: Iterable[bytes]) -> list[Leak]:
    """Return those that came since then on a loop device, an image, or a file below one of the ledger folders."""
    below = tuple(folder + b"/" for folder in folders)
    came = sorted(open_now() - before)
    return [
        Leak(("descriptor", number, path), f"descriptor {number} is open on {os.fsdecode(path)}")
        for number, path in came
        if _NODE.fullmatch(path) or path in images or path.startswith(below)
    ]
