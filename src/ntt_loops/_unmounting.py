"""Unmounting what stands on a device, by umount(8), never lazily.

A lazy umount only hides a mount: the file system stays alive, and the device bound, until its last user goes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import StuckError
from ntt_loops.errors import MountError, MountTimeoutError

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel, Mount


def unmount_device(kernel: Kernel, number: int, deadline: Deadline) -> tuple[int, list[MountError]]:
    """Unmount the mounts of a device and of its partitions in this mount namespace, the last one first.

    Returns:
        How many went, and what did not. A mount point that somebody else's later mount covers is left alone: umount(8)
        would take that one.
    """
    mounts = _mounts(kernel, number)
    errors = []
    for mount in reversed(mounts):
        try:
            kernel.unmount(mount.mount_point, within=deadline.remaining)
        except OSError as error:  # StuckError too
            errors.append(_mount_error(kernel, number, mount, error))
    return len(mounts) - len(errors), errors


def _mounts(kernel: Kernel, number: int) -> list[Mount]:
    rdevs = {kernel.rdev(number), *(one.rdev for one in kernel.partitions(number))}
    ours = [mount for mount in kernel.mounts() if mount.is_ours and mount.rdev in rdevs]
    return [mount for mount in ours if not mount.is_covered or _covered_by_own(mount, ours)]


def _covered_by_own(mount: Mount, ours: list[Mount]) -> bool:
    """Whether what covers a mount is on the same device, and goes before it."""
    last = [other for other in ours if other.mount_point == mount.mount_point][-1]
    return not last.is_covered


def _mount_error(kernel: Kernel, number: int, mount: Mount, error: OSError) -> MountError:
    kind = MountTimeoutError if isinstance(error, StuckError) else MountError
    text = error.strerror or str(error)
    point = os.fsdecode(mount.mount_point)
    node = kernel.node(number)
    return kind(f"{point} ({node}) was not unmounted: {text}", device=node, partition=os.fspath(node), text=text)
