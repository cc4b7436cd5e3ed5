"""Unmounting all that stands on a device, on its partitions, and on what is stacked on these."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import StuckError
from ntt_loops._unmounting.stacks import stoppable
from ntt_loops.errors import MountError, MountTimeoutError

if TYPE_CHECKING:
    from collections.abc import Container

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel, Mount, StackedDevice


def unmount_device(
    kernel: Kernel, number: int, deadline: Deadline, *, own: frozenset[int] = frozenset()
) -> tuple[int, list[MountError]]:
    """Unmount the mounts of a device and of its partitions in this mount namespace, the last one first.

    A dm or md device that stands on it, and on nothing but the devices of ``own``, is unmounted and stopped before.

    Returns:
        How much went, and what did not. A mount point that somebody else's later mount covers is left alone:
        umount(8) would take that one.
    """
    rdevs = rdevs_of(kernel, number)
    errors: list[MountError] = []
    count = 0
    for stacked in stoppable(kernel, number, own | rdevs):
        gone, failed = _unmount_all(kernel, f"/dev/{stacked.name}", stacked.rdevs, deadline)
        not_stopped = _stop(kernel, stacked, deadline)
        count += gone + (not not_stopped)
        errors += failed + not_stopped
    gone, failed = _unmount_all(kernel, kernel.node(number), rdevs, deadline)
    return count + gone, errors + failed


def rdevs_of(kernel: Kernel, number: int) -> frozenset[int]:
    """Return the device numbers of a device and of its partitions."""
    rdev = kernel.rdev(number)
    return frozenset(one.rdev for one in kernel.partitions(number)) | (frozenset() if rdev is None else {rdev})


def _unmount_all(kernel: Kernel, node: str, rdevs: frozenset[int], deadline: Deadline) -> tuple[int, list[MountError]]:
    errors: dict[bytes, MountError] = {}
    count = 0
    while (mount := _next_mount(kernel, rdevs, errors)) is not None:
        try:
            kernel.unmount(mount.mount_point, within=deadline.remaining)
            count += 1
        except OSError as error:  # StuckError too
            point = os.fsdecode(mount.mount_point)
            errors[mount.mount_point] = _error(f"{point} ({node}) was not unmounted", node, error)
    return count, list(errors.values())


def _next_mount(kernel: Kernel, rdevs: frozenset[int], failed: Container[bytes]) -> Mount | None:
    """Return the last mount that umount(8) would take by its mount point; asked anew before each."""
    mounts = [one for one in kernel.mounts(only_ours=True) if one.rdev in rdevs and not one.is_covered]
    left = [one for one in mounts if one.mount_point not in failed]
    return left[-1] if left else None


def _stop(kernel: Kernel, stacked: StackedDevice, deadline: Deadline) -> list[MountError]:
    try:
        kernel.stop_stacked(stacked.name, within=deadline.remaining)
    except OSError as error:  # StuckError too
        return [_error(f"{stacked.own_name} ({stacked.name}) was not stopped", f"/dev/{stacked.name}", error)]
    return []


def _error(what: str, node: str, error: OSError) -> MountError:
    kind = MountTimeoutError if isinstance(error, StuckError) else MountError
    text = error.strerror or str(error)
    return kind(f"{what}: {text}", device=node, partition=node, text=text)
