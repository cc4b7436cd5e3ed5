"""flock(2) on an open file."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock if it can be had now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Let the lock go, also where a forked child still has the descriptor: a close alone would not."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
