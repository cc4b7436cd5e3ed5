"""A whole medium: attached and mounted by however many processes at once, and unmounted again."""

from __future__ import annotations

from ntt_loops._mounted_medium.unmount import unmount_medium
from ntt_loops._mounted_medium.values import Layout, MountedMedium, MountedPartition, Status
from ntt_loops._mounted_medium.whole import mount_medium, mounted_medium
from ntt_loops._mounted_medium.work import Request

__all__ = [
    "Layout",
    "MountedMedium",
    "MountedPartition",
    "Request",
    "Status",
    "mount_medium",
    "mounted_medium",
    "unmount_medium",
]
