"""How each program begins and ends."""

from __future__ import annotations

import enum
import errno
import re
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from ntt_loops import DeviceBusyError, NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What goes wrong with a medium, and must not stop the others.
FAILURES = (NttLoopsError, OSError)
_HASH = re.compile(r"[a-f0-9]{16,64}")


class Exit(enum.IntEnum):
    """The exit statuses, those of ntt-loops."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    BUSY = 75
    INTERRUPTED = 128 + signal.SIGINT


def exit_of(error: Exception) -> Exit:
    """Return the exit status for an error: the medium is in use or being worked on, or something is wrong."""
    is_locked = isinstance(error, OSError) and error.errno == errno.EAGAIN
    return Exit.BUSY if is_locked or isinstance(error, DeviceBusyError | BlockingIOError) else Exit.ERROR


def worst(results: Iterable[Exit]) -> Exit:
    """Return the exit status for several media."""
    return max(results, key=(Exit.DONE, Exit.BUSY, Exit.ERROR).index, default=Exit.DONE)


def is_hash(text: str) -> bool:
    """Whether it can be a medium's hash."""
    return _HASH.fullmatch(text) is not None


def checked_hash(text: str) -> str:
    """Return a medium's hash.

    Raises:
        ValueError: It is none, and no path is made of it.
    """
    if not is_hash(text):
        message = f"{text!r} is no hash: it takes 16 to 64 of the characters 0-9 and a-f"
        raise ValueError(message)
    return text


def say(text: str) -> None:
    """Tell people, on stderr: stdout is for what another program reads."""
    print(text, file=sys.stderr, flush=True)


def run_program(main: Callable[[], Exit]) -> NoReturn:
    """Run a program and exit; what goes wrong is a sentence and a status. SIGTERM and SIGHUP end it as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup(1) lets the latter be ignored
            signal.signal(number, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:
        say("Interrupted.")
        status = Exit.INTERRUPTED
    except (*FAILURES, ValueError) as error:
        status = exit_of(error)
        say(f"{'Busy' if status is Exit.BUSY else 'Error'}: {error}")
    sys.exit(status)
