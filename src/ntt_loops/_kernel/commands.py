"""System programs that do what is not this library's subject."""

from __future__ import annotations

import errno
import os
import subprocess

from ntt_loops._kernel import guarded
from ntt_loops._kernel.protocol import StuckError


def umount(mount_point: bytes, *, within: float) -> None:
    """Run umount(8) on a mount point, never lazily.

    ``-c`` keeps it from walking the path, which may lie on storage that does not answer; no text of its is read to
    decide anything.
    """
    command = [b"umount", b"-c", b"--", mount_point]
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
        )
    except FileNotFoundError as error:
        raise OSError(errno.ENOENT, "umount(8) is not installed (package mount or util-linux)") from error
    try:
        _, said = child.communicate(timeout=min(max(within, guarded.SHORTEST_SECONDS), guarded.LONGEST_SECONDS))
    except subprocess.TimeoutExpired:
        guarded.leave_behind(child)
        message = f"umount did not end within {within:.1f} s"
        raise StuckError(message) from None
    except BaseException:
        guarded.leave_behind(child)
        raise
    if child.returncode != 0:
        text = os.fsdecode(said).strip() or f"umount: exit status {child.returncode}"
        raise OSError(errno.EBUSY, text)
