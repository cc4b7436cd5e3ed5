"""SIGTERM and SIGHUP, as of timeout(1) or a closed terminal: a verb takes back what is half done, and ends by it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from ntt_loops.cli.failures import complain

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undone_when_ended() -> Iterator[None]:
    """Let the signals end a ``with`` block as Ctrl-C does, and the process after that, by the same signal.

    One that is ignored, as by nohup(1), stays so. A second one, such as timeout(1) sends, does not cut the end short.
    """
    received: list[int] = []

    def end(number: int, _frame: object) -> None:
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    except KeyboardInterrupt:
        if received:
            complain(f"ended by {signal.Signals(received[0]).name}")
            signal.signal(received[0], signal.SIG_DFL)
            os.kill(os.getpid(), received[0])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
