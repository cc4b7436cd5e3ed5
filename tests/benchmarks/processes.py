"""Many processes at once, each with an image of its own."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ntt_loops import Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.benchmarks import bare
from tests.benchmarks.children import losetup_cycle
from tests.benchmarks.measuring import Row
from tests.support.forked import together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.place import Place

COUNTS: Final = (1, 2, 4, 8, 16)
BARE: Final = "bare ioctls, Python"
LIBRARY: Final = "`with attached`"
LOSETUP: Final = "`losetup`, `losetup -d`"
SPEED: Final = "cycles a second in all"
WORST: Final = "worst cycle"
RETRIES: Final = "numbers lost to others in 1,000 cycles"


class Work(NamedTuple):
    """What one process did."""

    microseconds: list[float]
    #: Numbers that another process had first.
    retries: int


class CountingKernel(LinuxKernel):
    """Counts the numbers that were asked for."""

    asked = 0

    def get_free(self) -> int:
        """Count it."""
        self.asked += 1
        return super().get_free()


def case(count: int) -> str:
    """Return how a number of processes is written."""
    return f"{count} processes" if count > 1 else "1 process"


def measure(place: Place) -> list[Row]:
    """Measure each number of processes, the contenders in turn."""
    works: dict[str, Callable[[Path, float], Work]] = {
        BARE: _bare,
        LIBRARY: partial(_library, place.tmpfs / "run"),
        LOSETUP: _losetup,
    }
    seconds = 2.0 if place.extent.of(1, 0) else 0.3
    rows = []
    for count in COUNTS:
        images = [place.image() for _ in range(count)]
        taken: dict[str, list[list[Work]]] = {name: [] for name in works}
        for _ in range(place.extent.of(5, 1)):
            for name, work in works.items():
                taken[name].append(together(*(partial(work, image, seconds) for image in images)))
        for name, runs in taken.items():
            rows += _rows(case(count), name, runs, seconds)
    return rows


def _rows(where: str, name: str, runs: list[list[Work]], seconds: float) -> list[Row]:
    whole = [[taken for work in run for taken in work.microseconds] for run in runs]
    retries = [1000 * sum(work.retries for work in run) / len(taken) for run, taken in zip(runs, whole, strict=True)]
    quantities: dict[tuple[str, str], list[float]] = {
        (SPEED, "1/s"): [len(taken) / seconds for taken in whole],
        ("median of a cycle", "us"): [statistics.median(taken) for taken in whole],
        (WORST, "us"): [max(taken) for taken in whole],
        (RETRIES, ""): retries,
    }
    if name == LOSETUP:  # it tries again by itself, unseen
        quantities.popitem()
    return [Row.of(where, name, samples, quantity=what, unit=unit) for (what, unit), samples in quantities.items()]


def _repeated(work: Callable[[], int], seconds: float) -> Work:
    """Work for so many seconds; ``work`` returns the numbers that it tried."""
    microseconds, tries = [], 0
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        tries += work()
        microseconds.append((time.perf_counter() - begin) * 1e6)
    return Work(microseconds, tries - len(microseconds))


def _bare(image: Path, seconds: float) -> Work:
    return _repeated(lambda: bare.cycle(str(image)), seconds)


def _losetup(image: Path, seconds: float) -> Work:
    def one() -> int:
        losetup_cycle(image)
        return 1

    return _repeated(one, seconds)


def _library(run_dir: Path, image: Path, seconds: float) -> Work:
    kernel = CountingKernel()
    loops = Loops(run_dir, kernel)

    def one() -> int:
        before = kernel.asked
        with loops.attached(image):
            pass
        return kernel.asked - before

    return _repeated(one, seconds)
