"""Which deleted images could be copied back: what a sweep is to take cannot be had again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.reports import RescuableImage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._kernel import Kernel
    from ntt_loops._medium.seen import Seen
    from ntt_loops._medium.survey import Survey


def rescuable_images(kernel: Kernel, survey: Survey, devices: Iterable[Seen]) -> tuple[RescuableImage, ...]:
    """Return the deleted images of devices that answer, each with the device that shows most of it."""
    found: dict[tuple[int, int], RescuableImage] = {}
    for seen in devices:
        if seen.inode is None or survey.deletion_of(seen) is not Deletion.DELETED:
            continue
        size_bytes = kernel.size_bytes(seen.number)
        if seen.inode not in found or found[seen.inode].size_bytes < size_bytes:
            node = kernel.node(seen.number)
            found[seen.inode] = RescuableImage(node, survey.image_of(seen), size_bytes)
    return tuple(found.values())
