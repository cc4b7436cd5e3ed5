"""A lock that the programs started under it keep, so that it does not go before they have ended."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

#: The lock of this thread's calls.
kept_lock: ContextVar[io.FileIO | None] = ContextVar("kept_lock", default=None)


@contextlib.contextmanager
def outlived_by_programs(lock: io.FileIO) -> Iterator[None]:
    """Let a flock go only when the programs that are started in the block have ended, though this process be killed.

    Else the next one to take it would find a mount(8) at work that nobody waits for.
    """
    token = kept_lock.set(lock)
    try:
        yield
    finally:
        kept_lock.reset(token)
