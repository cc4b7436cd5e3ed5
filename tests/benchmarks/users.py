"""``holders()``: the look at every process and every mount namespace of the host."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ntt_loops import attached, holders
from tests.benchmarks.measuring import Contender, Row, interleaved, timed
from tests.support.forked import forks
from tests.support.holding import reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.place import Place

LIBRARY: Final = "`holders(device)`"
_CLONE_NEWNS: Final = 0x00020000
_MS_REC_PRIVATE: Final = 0x4000 | 1 << 18


def measure(place: Place) -> list[Row]:
    """Measure with ever more processes, then with ever more mount namespaces."""
    rows = []
    for count in (10, 100, 1000)[: place.extent.of(3, 2)]:
        with _idle(count, lambda: None):
            rows += _measured(place, f"{count:,} more processes")
    for count in (1, 10, 100)[: place.extent.of(3, 2)]:
        with _idle(count, _leave_namespace):
            rows += _measured(place, f"{count} more mount namespaces")
    return rows


def _measured(place: Place, case: str) -> list[Row]:
    image = place.image()
    with ExitStack() as stack:
        device = stack.enter_context(attached(image))
        other = stack.enter_context(reader(device))
        stack.callback(other.let_go)

        def look() -> None:
            assert other.pid in {one.pid for one in holders(device)}

        contenders = [Contender(LIBRARY, timed(look))]
        rows = interleaved(case, contenders, rounds=place.extent.of(10, 3), warm_up=1)
        there = float(sum(path.name.isdecimal() for path in Path("/proc").iterdir()))
        return [*rows, Row(case, "on the host", "processes", "", there, there, there, 1)]


@contextmanager
def _idle(count: int, begin: Callable[[], object]) -> Iterator[None]:
    """So many processes that do nothing, after ``begin``."""

    def work(say: Callable[[object], None]) -> None:
        begin()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        say("ready")
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # else each has a pipe to every one before it
        signal.pause()

    with forks() as start:
        children = [start(work) for _ in range(count)]
        for child in children:
            child.hear()
        yield


def _leave_namespace() -> None:
    """Be in a mount namespace of one's own; whatever the parent unmounts later goes here, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
