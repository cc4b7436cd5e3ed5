"""Errors as one sentence, a hint and an exit status."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import click

import ntt_loops
from ntt_loops.cli import who
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.text import command_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable


#: As many holders are named in a sentence; ``why`` names all. A mount, and who works there, are two.
_NAMED = 2


def tell(error: OSError | ValueError) -> Exit:
    """Print an error on stderr, with what to do, and return the exit status it stands for."""
    complain(_sentence(error))
    for note in getattr(error, "__notes__", ()):
        complain(note)
    for hint in _hints(error):
        click.echo(f"  hint: {hint}", err=True)
    return status_of(error)


def complain(sentence: str) -> None:
    """Print a sentence on stderr."""
    click.echo(f"ntt-loops: {visible(sentence)}", err=True)


def status_of(error: OSError | ValueError) -> Exit:
    """Return BUSY where the same may work later: somebody uses a device, or works on the medium."""
    is_busy = isinstance(error, ntt_loops.DeviceBusyError) or _is_locked(error) or _is_written_to(error)
    return Exit.BUSY if is_busy else Exit.ERROR


def _is_written_to(error: OSError | ValueError) -> bool:
    """Whether a device changed while its image was rescued."""
    return isinstance(error, ntt_loops.RescueError) and error.errno == errno.EBUSY


def _is_locked(error: OSError | ValueError) -> bool:
    """Whether another process has the medium's ledger locked, or is mounting or unmounting it."""
    kinds = (ntt_loops.LedgerError, ntt_loops.MountTimeoutError)
    return isinstance(error, kinds) and error.errno == errno.EAGAIN


def plain(error: OSError | ValueError) -> dict[str, Any]:
    """Return an error as plain data, of whatever class it is: ``error``, ``message``, and its facts."""
    if isinstance(error, ntt_loops.NttLoopsError):
        return error.to_dict()
    return {"error": type(error).__name__, "message": _sentence(error)}


def _sentence(error: OSError | ValueError) -> str:
    if isinstance(error, ntt_loops.DeviceBusyError) and error.holders:
        return _busy(error)
    if isinstance(error, ntt_loops.NttLoopsError) or not isinstance(error, OSError):
        return str(error)
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror or error}"


def _busy(error: ntt_loops.DeviceBusyError) -> str:
    """Return who is in the way; the library's own sentence has the hints in it, which come after it here."""
    clauses = list(dict.fromkeys(map(who.clause, error.holders)))
    more = f", and {len(clauses) - _NAMED} more" if len(clauses) > _NAMED else ""
    of = f" (medium {error.medium})" if error.medium else ""
    return f"{error.device}{of} is still in use: {', '.join(clauses[:_NAMED])}{more}"


def _hints(error: OSError | ValueError) -> Iterable[str]:
    if isinstance(error, ntt_loops.DeviceBusyError):
        devices = dict.fromkeys(_disk(holder.device) for holder in error.holders)
        yield from (f"{command_line(['ntt-loops', 'why', device])} tells more" for device in devices)
    elif isinstance(error, ntt_loops.LoopPermissionError) or getattr(error, "errno", None) == errno.EACCES:
        yield "run it as root: sudo ntt-loops ..."
    elif isinstance(error, ntt_loops.LoopUnavailableError):
        yield "'modprobe loop' loads the driver; 'ntt-loops sweep --system --dry-run' shows devices that could go"
    elif _is_locked(error):
        yield "another process works on that medium: try again, with a longer --timeout"


def _disk(device: str) -> str:
    head, _, partition = device.rpartition("p")
    return head if partition.isdigit() and head[-1:].isdigit() else device
