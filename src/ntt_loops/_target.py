"""What a caller's argument means: a device, a partition, an age."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ntt_loops._attachment import LoopDevice

if TYPE_CHECKING:
    from ntt_loops._attachment import Text

_NODE = re.compile(r"(?:/dev/(?:ntt-loops/)?)?loop(\d+)(?:p(\d+))?", re.ASCII)


def device_number(device: LoopDevice | Text) -> int:
    """Return the number of a device, or of the disk that a partition's path is of."""
    return node_parts(device)[0]


def node_parts(device: LoopDevice | Text) -> tuple[int, int | None]:
    """Return the number of a device, and that of the partition if it is one."""
    if isinstance(device, LoopDevice):
        return device.number, None
    match = _NODE.fullmatch(os.fspath(device))
    if match is None:
        message = f"{os.fspath(device)!r} is no loop device: it looks like /dev/loop7 or /dev/loop7p1"
        raise ValueError(message)
    return int(match[1]), int(match[2]) if match[2] else None


def disk_number(device: Text) -> int:
    """Return the number of a disk; ValueError for a partition: it cannot be detached alone."""
    number, partition = node_parts(device)
    if partition is not None:
        path = os.fspath(device)
        message = (
            f"{path} is a partition, and its disk is detached as a whole: name {path.removesuffix(f'p{partition}')}"
        )
        raise ValueError(message)
    return number


def checked_age(seconds: float | None) -> float | None:
    """Return an age in seconds; ValueError for a negative one."""
    if seconds is not None and not seconds >= 0:
        message = f"kept_older_than is a number of seconds, zero or more, not {seconds!r}"
        raise ValueError(message)
    return seconds
