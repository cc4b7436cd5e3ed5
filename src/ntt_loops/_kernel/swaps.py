"""/proc/swaps."""

from __future__ import annotations

from ntt_loops._kernel import processes
from ntt_loops._kernel.mountinfo import unescape


def block_devices() -> list[tuple[int, bytes]]:
    """Return device number and path of each block device that is swapped on."""
    try:
        with open("/proc/swaps", "rb") as table:
            lines = table.read().splitlines()[1:]
    except FileNotFoundError:  # a kernel without swap
        return []
    paths = [unescape(line.split()[0]) for line in lines if b"partition" in line.split()]
    return [(rdev, path) for path in paths if (rdev := processes.block_rdev(path)) is not None]
