"""One lock a medium around look, attach and mount: who comes second finds what the first one mounted.

A file of its own beside the ledger, since the ledger's is let go before each pause, and taken by the attach itself. It
goes with the last one who needs it. A program that was started under it keeps it until it has ended, so that no mount
of a killed process comes late.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import flock
from ntt_loops._kernel.outliving import outlived_by_programs
from ntt_loops._ledger.book import is_at
from ntt_loops._ledger.names import SUFFIX, file_name
from ntt_loops.errors import MountTimeoutError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from ntt_loops._backoff import Deadline
    from ntt_loops._ledger.folder import Ledger

#: After so many tries each, the pause between two doubles: a stampede of workers is through in a moment, and yet a
#: mount that takes minutes is not asked after a thousand times a second.
_TRIES_AT_ONE_PAUSE = 8


@contextlib.contextmanager
def mount_lock(ledger: Ledger, medium: str, deadline: Deadline) -> Iterator[None]:
    """Hold the medium's mount lock.

    Raises:
        MountTimeoutError: Another process held it until the deadline.
        LedgerError: The folder or the file is not to be trusted, or cannot be made.
    """
    path = f"{ledger.run_dir}/{file_name(medium).removesuffix(SUFFIX)}.mount"
    attempt = 0
    while (file := _locked(ledger, path)) is None:
        if deadline.expired:
            message = f"medium {medium} is being mounted or unmounted by another process, which holds {path}; try again"
            raise MountTimeoutError(message, medium=medium, text=message, errno=errno.EAGAIN)
        attempt += 1
        deadline.pause(1 + attempt // _TRIES_AT_ONE_PAUSE)
    try:
        with outlived_by_programs(file):
            yield
    finally:
        _let_go(file, path)


def _locked(ledger: Ledger, path: str) -> io.FileIO | None:
    """Return the file of that name, locked; None where it is locked by another, or is not that file any more."""
    ledger.ensure_folder()
    try:
        file = ledger.open_file(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:  # the folder went since it was looked at
        return None
    if flock.try_lock(file.fileno()) and is_at(file, path):
        return file
    file.close()
    return None


def _let_go(file: io.FileIO, path: str) -> None:
    """Remove the file under the lock; whoever waits for it finds that, and makes another."""
    try:
        if not file.closed and is_at(file, path):
            with contextlib.suppress(OSError):  # then it stays, which harms nobody
                os.unlink(path)
    finally:
        if not file.closed:
            flock.unlock(file.fileno())
            file.close()
