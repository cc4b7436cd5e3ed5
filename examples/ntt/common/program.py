"""How each program begins and ends."""

from __future__ import annotations

import enum
import re
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from ntt_loops import DeviceBusyError, NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Callable

_HASH = re.compile(r"[a-f0-9]{16,64}")


class Exit(enum.IntEnum):
    """The exit statuses, those of ntt-loops."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    BUSY = 75
    INTERRUPTED = 128 + signal.SIGINT


def checked_hash(text: str) -> str:
    """Return a medium's hash.

    Raises:
        ValueError: It is none, and no path is made of it.
    """
    if _HASH.fullmatch(text) is None:
        message = f"{text!r} is no hash: it takes 16 to 64 of the characters 0-9 and a-f"
        raise ValueError(message)
    return text


def say(text: str) -> None:
    """Tell people, on stderr: stdout is for what another program reads."""
    print(text, file=sys.stderr, flush=True)


def run_program(main: Callable[[], Exit]) -> NoReturn:
    """Run a program and exit; what goes wrong is one sentence and a status. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:
        say("Interrupted.")
        status = Exit.INTERRUPTED
    except (DeviceBusyError, BlockingIOError) as error:
        say(f"Busy: {error}")
        status = Exit.BUSY
    except (NttLoopsError, OSError, ValueError) as error:
        say(f"Error: {error}")
        status = Exit.ERROR
    sys.exit(status)
