"""The ledger folder of one worker: which one it is, and the lock that makes it nobody else's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ntt_loops._backoff import Deadline, NotYet, retry
from ntt_loops._kernel import flock
from ntt_loops._world import RUN_DIR
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    import io

    from ntt_loops._ledger import Ledger

#: Stands for the worker's name in the name of the folder.
PLACE_OF_NAME = "{worker}"
_LOCK_NAME = "worker.lock"


def folder_of(run_dir: str, name: str | None) -> Path:
    """Return the ledger folder of the worker of that name; None: it was given none.

    Raises:
        LedgerError: It is the host's, or goes by the name of a worker that has none.
    """
    if PLACE_OF_NAME in run_dir:
        if not name or name in (".", ".."):
            message = (
                f"the ledger folder {run_dir} goes by the worker's name, and this worker has none that lasts: start it "
                "with a name, that the next worker finds what this one leaves"
            )
            raise LedgerError(message, path=run_dir)
        run_dir = run_dir.replace(PLACE_OF_NAME, quote(name, safe=""))
    if os.path.abspath(run_dir) == RUN_DIR:
        message = (
            f"{RUN_DIR} is the ledger of everybody on this host, and a worker releases what it finds on its own: "
            "name another folder in NTT_LOOPS_RUN_DIR or run_dir="
        )
        raise LedgerError(message, path=run_dir)
    return Path(run_dir)


def lock(ledger: Ledger, deadline: Deadline) -> io.FileIO:
    """Take the folder for this worker, until the file that is returned is closed or the process ends.

    A worker that was killed may need a moment to die, so this waits.

    Raises:
        LedgerError: Another worker has it, or the folder is not to be trusted or cannot be written.
    """
    ledger.ensure_folder()
    path = ledger.run_dir / _LOCK_NAME
    file = ledger.open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        retry(lambda: _try_lock(file), deadline, gave_up=lambda: _taken(file, path))
        _sign(file)
    except BaseException:
        file.close()
        raise
    return file


def unlock(file: io.FileIO) -> None:
    """Let it go. The file stays: to remove it would take one more lock."""
    if not file.closed:
        flock.unlock(file.fileno())
        file.close()


def _try_lock(file: io.FileIO) -> None:
    if not flock.try_lock(file.fileno()):
        raise NotYet


def _sign(file: io.FileIO) -> None:
    """Write down whose it is, for those who come second."""
    os.ftruncate(file.fileno(), 0)
    os.pwrite(file.fileno(), f"{os.getpid()}\n".encode(), 0)


def _taken(file: io.FileIO, path: Path) -> LedgerError:
    pid = os.pread(file.fileno(), 20, 0).decode(errors="replace").strip() or "unknown"
    message = (
        f"the ledger folder {path.parent} is another worker's (pid {pid}): each worker needs its own; "
        f"{PLACE_OF_NAME} in its name stands for the worker's name"
    )
    return LedgerError(message, path=path)
