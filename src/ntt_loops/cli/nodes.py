"""The nodes of partitions, for commands that name them: ``${dev}p1``, ``{}p1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops.cli import failures

if TYPE_CHECKING:
    from ntt_loops import LoopDevice


def add_partitions(device: LoopDevice) -> None:
    """Add the partitions that the kernel did not read by itself; whoever needs none is not stopped by an error."""
    try:
        _ = device.partitions
    except (OSError, ValueError) as error:
        failures.tell(error)
