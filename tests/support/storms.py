"""Storms: signals that come again and again during cycles, and forks while another thread attaches."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING

from ntt_loops import Loops
from ntt_loops._kernel.descriptors import open_numbers
from tests.support.forked import elsewhere, forks
from tests.support.interrupts import runs_in_library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType


def interrupted(run_dir: Path, image: Path, *, times: int) -> int:
    """Attach and detach in a child until so many SIGINT hit the library; return what is open there in the end."""
    with forks() as start:
        child = start(partial(_cycle_in_a_storm, run_dir, image, times))
        assert child.hear() == "ready"
        while not child.has_said():
            child.kill(signal.SIGINT)
            time.sleep(random.uniform(0.0002, 0.002))
        left = child.hear()
        assert isinstance(left, int)
        return left


def _cycle_in_a_storm(run_dir: Path, image: Path, times: int, say: Callable[[object], None]) -> int:
    warnings.simplefilter("ignore", ResourceWarning)
    signal.signal(signal.SIGINT, _raise_in_library)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one descriptor, whatever it is
    say("ready")
    while times:
        try:
            with Loops(run_dir).attached(image):
                pass
        except KeyboardInterrupt:
            times -= 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return len(os.listdir("/proc/self/fd")) - before + len(open_numbers())  # noqa: PTH208


def _raise_in_library(_: int, frame: FrameType | None) -> None:
    """Be the KeyboardInterrupt handler of Python, but spare the test's own code."""
    if runs_in_library(frame):
        raise KeyboardInterrupt


def forked_while(attaches: Callable[[], None], *, times: int) -> list[int]:
    """Fork so many times while another thread attaches; return the library's descriptors that any child had open."""
    ended = threading.Event()

    def attach_on() -> None:
        while not ended.is_set():
            attaches()

    thread = threading.Thread(target=attach_on)
    thread.start()
    try:
        return [number for _ in range(times) for number in elsewhere(open_numbers)]
    finally:
        ended.set()
        thread.join()
