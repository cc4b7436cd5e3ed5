"""The guard against leaks: what a test session left behind on this machine.

It judges devices by the session's own temporary folder, below which their images lie, so that devices of
others on the same machine neither fail a run nor are touched by it. A partition node that outlived its
attachment has no image any more: one that was not there at the start is reported, and not touched.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support import oracle

#: A scoped device goes a moment after its last close where udev looks at it (kernel and udev, not us).
SETTLE_SECONDS: Final = 10.0
DESCRIPTORS: Final = Path("/proc/self/fd")


def leaks_below(folder: Path) -> list[str]:
    """Return one sentence for each device and mount left below a folder after a moment's grace."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while leaks := _devices_left(folder) + _mounts_left(folder):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return leaks


def clear_below(folder: Path) -> None:
    """Unmount and detach what is left below a folder, so that later tests start clean."""
    devices = [*reversed(oracle.bound_below(folder)), *_listed_below(folder)]
    points = [point for device in devices for point in oracle.mounts_of(device)]
    for point in dict.fromkeys([*points, *_mount_points_below(folder)]):
        with suppress(subprocess.CalledProcessError):
            oracle.run("umount", point)
    for device in dict.fromkeys(devices):
        with suppress(subprocess.CalledProcessError):
            oracle.losetup_detach(device)


def stale_partitions() -> set[str]:
    """Return the partitions that hang on loop devices which are bound to nothing."""
    devices = [f"/dev/{path.name}" for path in oracle.BLOCK.glob("loop*")]
    unbound = [device for device in devices if not oracle.is_bound(device)]
    return {node for device in unbound for node in oracle.partition_nodes(device)}


def new_stale_partitions(before: set[str]) -> list[str]:
    """Return one sentence for each partition node that outlived its attachment since then."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := stale_partitions() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [f"partition {node} is left on a device that is bound to nothing" for node in sorted(left)]


def open_descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what each stands for."""
    gc.collect()
    found: dict[int, str] = {}
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        with suppress(FileNotFoundError):  # the one that listed the folder
            found[int(entry.name)] = str(entry.readlink())
    return found


def new_descriptors(before: dict[int, str]) -> list[str]:
    """Return one sentence for each new descriptor, none unless there are more of them than before."""
    now = open_descriptors()
    if len(now) <= len(before):
        return []
    return [f"descriptor {fd} is open on {now[fd]}" for fd in sorted(now) if before.get(fd) != now[fd]]


def _devices_left(folder: Path) -> list[str]:
    backing = dict(oracle.backing_files())
    devices = dict.fromkeys([*oracle.bound_below(folder), *_listed_below(folder)])
    return [_device_sentence(device, os.fsdecode(backing.get(device, b"an image"))) for device in devices]


def _device_sentence(device: str, backing: str) -> str:
    partitions = oracle.partition_nodes(device)
    points = [str(point) for point in oracle.mounts_of(device)]
    more = f", with {', '.join(partitions)}" if partitions else ""
    more += f", mounted at {', '.join(points)}" if points else ""
    return f"{device} is bound to {backing!r}{more}"


def _listed_below(folder: Path) -> list[str]:
    below = f"{folder}/"
    rows = oracle.losetup_list("NAME,BACK-FILE")
    return [row["name"] for row in rows if (row["back-file"] or "").startswith(below)]


def _mounts_left(folder: Path) -> list[str]:
    return [f"a file system is mounted at {point}" for point in _mount_points_below(folder)]


def _mount_points_below(folder: Path) -> list[Path]:
    points = [point for _, point in reversed(oracle.mounts())]
    return [point for point in points if point.is_relative_to(folder)]
