"""On what, and when, it was measured."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.place import Place


def facts(place: Place) -> dict[str, Any]:
    """Return the date, and what figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "quick": place.extent.is_quick,
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "python": platform.python_version(),
        "busy_percent": _busy_percent(),
        "disk": _file_system(place.disk),
    }


def _busy_percent() -> int:
    """Return how much of the processors others take in a second: a load average is of what the run did before, too."""
    before = _ticks()
    time.sleep(1.0)
    busy, idle = (after - one for after, one in zip(_ticks(), before, strict=True))
    return round(100 * busy / (busy + idle))


def _ticks() -> tuple[int, int]:
    """Return the time of all processors, busy and idle, in the kernel's ticks since it started."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        words = [int(word) for word in next(file).split()[1:9]]  # user, nice, system, idle, iowait, irq, softirq, steal
    idle = words[3] + words[4]
    return sum(words) - idle, idle


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(len(words[1]), words[2]) for words in lines if folder.is_relative_to(words[1])]
    return max(above)[1]
