"""What a test needs of the machine, and whether it is skipped or fails without it.

The environment variable NTT_LOOPS_REQUIRE is a comma-separated list: with ``kernel`` a test that needs root
and loop devices fails where it would be skipped, with ``tools`` one that needs a system tool, with ``features``
one that needs a part of Linux that not every kernel has (``tests.support.features``).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal, NoReturn

import pytest

Need = Literal["kernel", "tools", "features"]


def is_required(need: Need) -> bool:
    """Say whether NTT_LOOPS_REQUIRE holds this need."""
    return need in {word.strip() for word in os.environ.get("NTT_LOOPS_REQUIRE", "").split(",")}


def skip_or_fail(need: Need, reason: str) -> NoReturn:
    """Skip the running test, or fail it where the need is required."""
    if is_required(need):
        pytest.fail(f"{reason}, and NTT_LOOPS_REQUIRE holds {need!r}", pytrace=False)
    pytest.skip(reason)


def missing_for_kernel() -> str | None:
    """Return what real loop devices lack here, None where they can be had."""
    if os.geteuid() != 0:
        return "real loop devices need root"
    if not Path("/dev/loop-control").exists():
        return "there is no /dev/loop-control (modprobe loop)"
    return None


def require_kernel() -> None:
    """Skip or fail the running test unless it is root and loop devices exist."""
    missing = missing_for_kernel()
    if missing is not None:
        skip_or_fail("kernel", missing)


def require_tool(name: str) -> str:
    """Return the path of a system tool; skip or fail the running test without it."""
    path = find_tool(name)
    if path is None:
        skip_or_fail("tools", f"{name} is not installed")
    return path


def find_tool(name: str) -> str | None:
    """Return the path of a system tool, looked for in sbin too, None where it is missing."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
