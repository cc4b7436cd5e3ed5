"""Unmounting what stands on a device, by umount(8), never lazily.

A lazy umount only hides a mount: the file system stays alive, and the device bound, until its last user goes.
"""

from __future__ import annotations

from ntt_loops._unmounting.device import rdevs_of, unmount_device
from ntt_loops._unmounting.point import find_mount, unmount_point

__all__ = ["find_mount", "rdevs_of", "unmount_device", "unmount_point"]
