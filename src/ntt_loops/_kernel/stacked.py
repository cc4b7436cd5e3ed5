"""Device-mapper and md devices, as sysfs lists them."""

from __future__ import annotations

import os

from ntt_loops._kernel import sysfs
from ntt_loops._kernel.values import StackedDevice


def look(name: str) -> StackedDevice | None:
    """Return a device; None where it is gone, or neither dm nor md."""
    own_name = _own_name(name)
    rdev = sysfs.rdev(name)
    if own_name is None or rdev is None:
        return None
    partitions = [f"{name}/{one}" for one in sysfs.names(f"{sysfs.BLOCK}/{name}") if one.startswith(name)]
    disks = [name, *partitions]
    rdevs = {rdev, *(found for one in partitions if (found := sysfs.rdev(one)) is not None)}
    return StackedDevice(
        name,
        own_name,
        frozenset(rdevs),
        frozenset(_slaves(name)),
        tuple(sorted({holder for disk in disks for holder in sysfs.names(f"{sysfs.BLOCK}/{disk}/holders")})),
    )


def _own_name(name: str) -> str | None:
    if name.startswith("dm-"):
        own_name = sysfs.read_attribute(f"{sysfs.BLOCK}/{name}/dm/name")
        return os.fsdecode(own_name) if own_name else None
    return name if name.startswith("md") else None


def _slaves(name: str) -> list[int]:
    """Return what a device stands on; a link leads to a disk or to a partition below it."""
    folder = f"{sysfs.BLOCK}/{name}/slaves"
    found = (sysfs.rdev_at(f"{folder}/{one}") for one in sysfs.names(folder))
    return [rdev for rdev in found if rdev is not None]
