"""System programs that do what is not this library's subject."""

from __future__ import annotations

import errno
import os
import subprocess

from ntt_loops._kernel.protocol import StuckError


def umount(mount_point: bytes, *, within: float) -> None:
    """Run umount(8) on a mount point, never lazily.

    ``-c`` keeps it from walking the path, which may lie on storage that does not answer; no text of its is read to
    decide anything.
    """
    command = [b"umount", b"-c", b"--", mount_point]
    try:
        done = subprocess.run(command, capture_output=True, timeout=max(within, 0.05), check=False)
    except subprocess.TimeoutExpired as error:
        message = f"umount did not end within {within:.1f} s"
        raise StuckError(message) from error
    except FileNotFoundError as error:
        raise OSError(errno.ENOENT, "umount(8) is not installed (package mount or util-linux)") from error
    if done.returncode != 0:
        text = os.fsdecode(done.stderr).strip() or f"umount: exit status {done.returncode}"
        raise OSError(errno.EBUSY, text)
