"""Two writable views of one part of a file do not see each other's writes: that is worth a warning."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel, LoopStatus
    from ntt_loops._ledger import Record

logger = logging.getLogger("ntt_loops")


def warn(kernel: Kernel, medium: str, new: Record) -> None:
    """Warn where a writable attachment overlaps another one of the same file.

    Others are found by the path of their backing file. Only a writable attach looks at them: it is rare.
    """
    for number in kernel.bound_numbers():
        if number != new.number and _overlaps(kernel, number, new):
            logger.warning(
                "%s is attached writable while %s shows the same part of %s: their writes do not see each other",
                kernel.node(new.number),
                kernel.node(number),
                os.fsdecode(new.image),
                extra={"medium": medium, "device": kernel.node(new.number), "other": number},
            )


def _overlaps(kernel: Kernel, number: int, new: Record) -> bool:
    bound = kernel.look(number)
    if bound is None or bound.backing_file != new.image:
        return False
    try:
        status, _ = kernel.status_of(number)
    except OSError:  # it is going, or may not be asked: no reason not to attach
        return False
    is_same_file = (status.backing_dev, status.backing_inode) == (new.dev, new.inode)
    return is_same_file and new.offset_bytes < _end(status) and status.offset_bytes < _end(new)


def _end(part: Record | LoopStatus) -> float:
    return part.offset_bytes + part.size_limit_bytes if part.size_limit_bytes else float("inf")
