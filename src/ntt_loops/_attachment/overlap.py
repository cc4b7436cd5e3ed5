"""Two writable views of one file do not see each other's writes: that is worth a warning."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Book, Record

logger = logging.getLogger("ntt_loops")


def warn(kernel: Kernel, book: Book, new: Record) -> None:
    """Warn where a writable attachment overlaps another one of the same file.

    Ours are known by the ledger, others by the path of their backing file. Only a writable attach looks: it is rare.
    """
    ours = {one.number for one in book.entries.values() if _is_same_file(one, new) and _overlap(one, new)}
    apart = {one.number for one in book.entries.values()} - ours
    others = {number for number in kernel.bound_numbers() if _is_bound_to(kernel, number, new.image)}
    for number in sorted((ours | others) - apart - {new.number}):
        logger.warning(
            "%s is attached writable while %s shows the same part of %s: their writes do not see each other",
            kernel.node(new.number),
            kernel.node(number),
            os.fsdecode(new.image),
            extra={"medium": book.medium, "device": os.fspath(kernel.node(new.number)), "other": number},
        )


def _is_same_file(one: Record, other: Record) -> bool:
    return (one.dev, one.inode) == (other.dev, other.inode)


def _overlap(one: Record, other: Record) -> bool:
    return one.offset_bytes < _end(other) and other.offset_bytes < _end(one)


def _end(record: Record) -> float:
    return record.offset_bytes + record.size_limit_bytes if record.size_limit_bytes else float("inf")


def _is_bound_to(kernel: Kernel, number: int, image: bytes) -> bool:
    bound = kernel.look(number)
    return bound is not None and bound.backing_file == image
