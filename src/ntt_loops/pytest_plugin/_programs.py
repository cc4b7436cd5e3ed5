"""Programs that make images: a test without one of them is skipped, or fails if that is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess  # noqa: TID251 - mkfs and sfdisk make images, nothing of the library does
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

_SBIN = ("/usr/sbin", "/sbin")


def found(name: str, config: pytest.Config) -> str:
    """Return the path of a program, looked for in sbin too; skip or fail the running test without it."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    if path is not None:
        return path
    reason = f"{name} is not installed: loop_image needs it"
    if config.getini("ntt_loops_require_tools"):
        pytest.fail(f"{reason}, and ntt_loops_require_tools is set", pytrace=False)
    pytest.skip(reason)


def run(command: Sequence[str | os.PathLike[str]], *, text: str = "") -> None:
    """Run a program that reads a text; RuntimeError with its own words where it fails."""
    done = subprocess.run(  # noqa: S603 - a list of arguments, without a shell
        command, input=text, text=True, errors="replace", capture_output=True, check=False
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        message = f"{os.path.basename(command[0])} could not make an image, exit status {done.returncode}: {words}"
        raise RuntimeError(message)
