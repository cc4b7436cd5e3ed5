"""How the last sweep went: one small file in the ledger folder, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs

from ntt_loops._plain import fields_of
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    import io

    from ntt_loops._ledger.folder import Ledger

FILE = "last-sweep.json"
#: Longer is none of ours.
_MOST_BYTES = 4096

SweepOutcome = Literal["done", "problems", "failed"]


@attrs.frozen
class LastSweep:
    """A sweep that was put on record.

    Attributes:
        time: When it ended, in seconds since 1970.
        duration_seconds: How long it took.
        outcome: ``done``; ``problems``: the report had some; ``failed``: it ended with an error or an interrupt.
        released: How many devices were detached.
        kept: How many were left, each for a reason.
        freed_bytes: What the file systems of deleted images got back.
    """

    time: float = attrs.field(validator=attrs.validators.instance_of((int, float)))
    duration_seconds: float = attrs.field(validator=attrs.validators.instance_of((int, float)))
    outcome: SweepOutcome = attrs.field(validator=attrs.validators.in_(get_args(SweepOutcome)))
    released: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    kept: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    freed_bytes: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def put(ledger: Ledger, sweep: LastSweep) -> None:
    """Put it on record, in place of the one before; LedgerError where that cannot be."""
    ledger.ensure_folder()
    path = os.path.join(ledger.run_dir, FILE)
    new = f"{path}.{os.getpid()}"
    try:
        with ledger.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            _write(file, json.dumps(sweep.to_dict()).encode("ascii") + b"\n")
        os.rename(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise _refused(path, error) from error


def _write(file: io.FileIO, line: bytes) -> None:
    if os.write(file.fileno(), line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _refused(path: str, error: OSError) -> LedgerError:
    message = f"the outcome of this sweep could not be written to {path}: {error.strerror or error}"
    return LedgerError(message, path=path, errno=error.errno)


def get(ledger: Ledger) -> LastSweep | None:
    """Return what is on record; None where nothing is, or nothing that can be read."""
    try:
        with ledger.open_file(os.path.join(ledger.run_dir, FILE), os.O_RDONLY) as file:
            return LastSweep(**json.loads(file.read(_MOST_BYTES)))
    except (FileNotFoundError, ValueError, TypeError):
        return None
