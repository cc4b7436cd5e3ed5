"""Programs of the system."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


def run(*command: str | os.PathLike[str]) -> str:
    """Run a program and return what it prints, any bytes; OSError with its own words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)
    if done.returncode != 0:
        message = f"{command[0]} failed: {done.stderr.strip() or done.returncode}"
        raise OSError(message)
    return done.stdout.strip()
