"""System programs that do what is not this library's subject.

No text of theirs decides whether something worked: where it matters, whoever calls asks the kernel.
"""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from ntt_loops._kernel import guarded
from ntt_loops._kernel.protocol import StuckError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ended(NamedTuple):
    """How a program ended."""

    status: int
    output: bytes
    #: What it said on stderr, or its exit status where it said nothing.
    text: str


def umount(mount_point: bytes, *, within: float) -> None:
    """Run umount(8) on a mount point, never lazily.

    ``-c`` keeps it from walking the path, which may lie on storage that does not answer.
    """
    ended = _run([b"umount", b"-c", b"--", mount_point], within, package="mount or util-linux")
    if ended.status != 0:
        raise OSError(errno.EBUSY, ended.text)


def _run(command: Sequence[bytes], within: float, *, package: str) -> Ended:
    """Run a program in English; OSError ENOENT where it is not installed, StuckError where it does not end in time."""
    name = os.fsdecode(command[0])
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            process_group=0,  # a Ctrl-C at the terminal is for this process
        )
    except FileNotFoundError as error:
        message = f"{name}(8) is not installed (package {package})"
        raise OSError(errno.ENOENT, message) from error
    try:
        output, said = child.communicate(timeout=min(max(within, guarded.SHORTEST_SECONDS), guarded.LONGEST_SECONDS))
    except subprocess.TimeoutExpired:
        guarded.leave_behind(child)
        message = f"{name} did not end within {within:.1f} s"
        raise StuckError(message) from None
    except BaseException:
        guarded.leave_behind(child)
        raise
    return Ended(child.returncode, output, os.fsdecode(said).strip() or f"{name}: exit status {child.returncode}")
