"""Unmounting what stands on a device, by umount(8), never lazily.

A lazy umount only hides a mount: the file system stays alive, and the device bound, until its last user goes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import StuckError
from ntt_loops.errors import MountError, MountTimeoutError

if TYPE_CHECKING:
    from collections.abc import Container

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel, Mount


def unmount_device(kernel: Kernel, number: int, deadline: Deadline) -> tuple[int, list[MountError]]:
    """Unmount the mounts of a device and of its partitions in this mount namespace, the last one first.

    Returns:
        How many went, and what did not. A mount point that somebody else's later mount covers is left alone: umount(8)
        would take that one.
    """
    errors: dict[bytes, MountError] = {}
    count = 0
    while (mount := _next_mount(kernel, number, errors)) is not None:
        try:
            kernel.unmount(mount.mount_point, within=deadline.remaining)
            count += 1
        except OSError as error:  # StuckError too
            errors[mount.mount_point] = _mount_error(kernel, number, mount, error)
    return count, list(errors.values())


def _next_mount(kernel: Kernel, number: int, failed: Container[bytes]) -> Mount | None:
    """Return the last mount that umount(8) would take by its mount point; asked anew before each."""
    rdevs = {kernel.rdev(number), *(one.rdev for one in kernel.partitions(number))}
    mounts = [one for one in kernel.mounts() if one.is_ours and one.rdev in rdevs and not one.is_covered]
    left = [one for one in mounts if one.mount_point not in failed]
    return left[-1] if left else None


def _mount_error(kernel: Kernel, number: int, mount: Mount, error: OSError) -> MountError:
    kind = MountTimeoutError if isinstance(error, StuckError) else MountError
    text = error.strerror or str(error)
    point = os.fsdecode(mount.mount_point)
    node = kernel.node(number)
    return kind(f"{point} ({node}) was not unmounted: {text}", device=node, partition=os.fspath(node), text=text)
