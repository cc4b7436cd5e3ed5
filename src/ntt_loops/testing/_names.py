"""Where devices are."""

from __future__ import annotations

import os
from typing import TypeAlias

#: A device by its number, or a partition by the device's number and its own.
Where: TypeAlias = int | tuple[int, int]
AnyPath: TypeAlias = str | bytes | os.PathLike[str]


def node_name(number: int, partition: int | None = None) -> bytes:
    """Return the path of a node."""
    return b"/dev/loop%d" % number if partition is None else b"/dev/loop%dp%d" % (number, partition)
