"""Telling a terminal, after a second, for whom it is kept waiting."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

import ntt_loops
from ntt_loops.cli.text import visible
from ntt_loops.cli.who import awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Most waits are for udev, and over long before.
_PATIENCE_SECONDS = 1.0


@contextlib.contextmanager
def waiting(devices: Callable[[], Iterable[str]], timeout: float, *, otherwise: str = "") -> Iterator[None]:
    """Print one line on a terminal, if the block takes longer than a second: who keeps these devices busy.

    Args:
        devices: Finds them, when it comes to that.
        timeout: How long the block may take, in seconds.
        otherwise: What to say where nobody keeps them; nothing by default.
    """
    if not sys.stderr.isatty() or timeout <= _PATIENCE_SECONDS:
        yield
        return
    until = time.monotonic() + timeout
    lock, is_over = threading.Lock(), threading.Event()

    def tell() -> None:
        for_whom = _for_whom(devices) or otherwise
        with lock:
            if for_whom and not is_over.is_set():
                left = max(0.0, until - time.monotonic())
                click.echo(f"waiting for {visible(for_whom)}, up to {left:.0f} s", err=True)

    timer = threading.Timer(_PATIENCE_SECONDS, tell)
    timer.daemon = True
    # A thread inherits what is blocked: signals are the main thread's, which may await them itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    timer.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            is_over.set()


def _for_whom(devices: Callable[[], Iterable[str]]) -> str:
    try:
        held = [holder for device in devices() for holder in ntt_loops.holders(device)]
    except (OSError, ValueError):  # it is only said to be kind
        return ""
    # Not for ourselves: a release lays its claim on the device again and again meanwhile.
    held = [holder for holder in held if (holder.kind, holder.pid) != ("process", os.getpid())]
    held.sort(key=lambda holder: holder.kind == "mount")  # who works there is waited for, and then it can be unmounted
    names = list(dict.fromkeys(map(awaited, held)))
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else ""
