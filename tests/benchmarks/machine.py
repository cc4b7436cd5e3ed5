"""On what, and when, it was measured."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
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
        "load": round(os.getloadavg()[0], 2),
        "disk": _file_system(place.disk),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(len(words[1]), words[2]) for words in lines if folder.is_relative_to(words[1])]
    return max(above)[1]
