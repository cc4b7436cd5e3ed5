"""Partitions that outlive their image: they would show the next image of the number at this one's offsets (F31).

Only a device without PARTSCAN, which none of ours is, leaves some. They are deleted once the detach took, never before:
a device that stays busy keeps its partitions. What others left on a free number is deleted before it is used.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

from ntt_loops._backoff import NotYet, retry, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Handle, Kernel, PartitionNode

logger = logging.getLogger("ntt_loops")

#: 60 partitions take some 10 ms. What is there so much later the kernel does not drop any more.
_DROP_SECONDS = 0.5


def delete(kernel: Kernel, claim: Handle, number: int, partitions: Sequence[PartitionNode]) -> None:
    """Delete partitions through a claim on a device that has no image any more (F37)."""
    for partition in partitions:
        try:
            kernel.delete_partition(claim, partition.number)
        except OSError as error:
            if error.errno != errno.ENXIO:
                _warn(kernel, number, partition, error)


def delete_unbound(kernel: Kernel, number: int, partitions: Sequence[PartitionNode], until: Deadline) -> None:
    """Delete partitions of a number that is free again, unless it is somebody else's by now."""

    def attempt() -> None:
        try:
            claim = kernel.open(number, exclusive=True)
        except OSError as error:
            if error.errno == errno.EBUSY and not kernel.is_bound(number):
                raise NotYet from error
            return
        try:
            if not kernel.is_bound(number):  # nobody can bind it while it is claimed (F24)
                delete(kernel, claim, number, partitions)
        finally:
            claim.close()

    def gave_up() -> NotYet:
        logger.warning("%s: partitions of an earlier image are left", kernel.node(number))
        return NotYet()

    if partitions:
        try:
            retry(attempt, until, gave_up=gave_up)
        except NotYet:
            return


def wait_dropped(kernel: Kernel, number: int, until: Deadline) -> None:
    """Wait until the kernel has dropped the partitions of an image with PARTSCAN that is gone from sysfs.

    Where the last close was udev's, that takes some milliseconds more, and whoever opens one of their nodes meanwhile
    sees the next image through it (F61). Bound again, the number is another image's: the kernel was through before.
    What it has not dropped by then is deleted.
    """
    is_over = wait_until(lambda: not kernel.partitions(number) or kernel.is_bound(number), until.sooner(_DROP_SECONDS))
    if not is_over:
        delete_unbound(kernel, number, kernel.partitions(number), until)


def purge(kernel: Kernel, number: int, until: Deadline) -> bool:
    """Delete what an earlier image left on a free number; return whether nothing is left.

    LOOP_CONFIGURE with PARTSCAN drops it too, but not while somebody has a partition open (F56).
    """
    partitions = kernel.partitions(number)
    if not partitions:
        return True
    delete_unbound(kernel, number, partitions, until)
    return not kernel.partitions(number)


def _warn(kernel: Kernel, number: int, partition: PartitionNode, error: OSError) -> None:
    node = kernel.node(number, partition.number)
    logger.warning("%s is left behind by an earlier image: %s", node, error.strerror, extra={"device": str(node)})
