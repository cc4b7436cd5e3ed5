"""Unmounting one mount, and waiting for whoever still works there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._attachment import find_holders
from ntt_loops._attachment.holders import say
from ntt_loops._backoff import NotYet, retry
from ntt_loops._kernel import StuckError
from ntt_loops.errors import DeviceBusyError, MountTimeoutError

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel, Mount


def find_mount(kernel: Kernel, rdev: int | None, point: bytes) -> Mount | None:
    """Return the mount of a device at a mount point in this mount namespace, the last one."""
    mounts = kernel.mounts(only_ours=True)
    found = [one for one in mounts if one.rdev == rdev and one.mount_point == point]
    return found[-1] if found else None


def unmount_point(kernel: Kernel, number: int, rdev: int | None, point: bytes, deadline: Deadline) -> None:
    """Unmount a device from a mount point; where it is not mounted, do nothing.

    Raises:
        DeviceBusyError: Somebody works there, or has mounted something over it, until the deadline; it stays mounted.
        MountTimeoutError: umount(8) did not end.
    """
    texts: list[str] = []

    def attempt() -> None:
        mount = find_mount(kernel, rdev, point)
        if mount is None:
            return
        if not mount.is_covered:
            texts.append(_unmount(kernel, number, point, deadline))
            if find_mount(kernel, rdev, point) is None:
                return
        raise NotYet

    retry(attempt, deadline, gave_up=lambda: _busy(kernel, number, point, texts[-1] if texts else "it is covered"))


def _unmount(kernel: Kernel, number: int, point: bytes, deadline: Deadline) -> str:
    """Try once, and return what was said."""
    try:
        kernel.unmount(point, within=deadline.remaining)
    except StuckError as error:
        node = kernel.node(number)
        message = f"{os.fsdecode(point)} ({node}) was not unmounted: {error}"
        raise MountTimeoutError(message, device=node, partition=node, text=str(error)) from error
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _busy(kernel: Kernel, number: int, point: bytes, text: str) -> DeviceBusyError:
    node = kernel.node(number)
    found = tuple(find_holders(kernel, number))
    message = f"{os.fsdecode(point)} ({node}) stays mounted: {text or 'it is mounted again and again'}; {say(found)}"
    return DeviceBusyError(message, device=node, holders=found)
