"""A lock that is let go by closing, or collecting, what stands for it."""

from __future__ import annotations

import threading


class MemoryLock:
    """What flock(2) on one file is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> LockHandle | None:
        """Return the lock if nobody has it."""
        return LockHandle(self._lock) if self._lock.acquire(blocking=False) else None


class LockHandle:
    """The lock, held until it is closed."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock: threading.Lock | None = lock

    def __del__(self) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it was let go."""
        return self._lock is None

    def close(self) -> None:
        """Let it go."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
