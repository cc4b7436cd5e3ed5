"""One ``with attached(image)`` cycle, against everybody else's way to attach an image and detach it again."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from ntt_loops import attach_kept, attached, release
from tests.benchmarks import bare
from tests.benchmarks.children import by_libblockdev, by_losetup, in_c
from tests.benchmarks.measuring import Contender, Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.place import Place

#: Cycles of one sample, for those that are fast.
TIMES: Final = 10

C: Final = "bare ioctls, C"
PYTHON: Final = "bare ioctls, Python"
TMPFS: Final = "`with attached`, ledger on tmpfs"
DISK: Final = "`with attached`, ledger on disk"
KEPT: Final = "`attach_kept`, `release`, ledger on tmpfs"
LOSETUP: Final = "`losetup`, `losetup -d`"
LIBBLOCKDEV: Final = "libblockdev, in-process"


def measure(place: Place) -> list[Row]:
    """Measure a cycle of each."""
    image = place.image()
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(in_c(C, image, place.tmpfs, TIMES)),
            Contender(PYTHON, timed(lambda: bare.cycle(str(image)), times=TIMES)),
            Contender(TMPFS, by_library(place, place.tmpfs, partial(scoped, image))),
            Contender(DISK, by_library(place, place.disk, partial(scoped, image))),
            Contender(KEPT, by_library(place, place.tmpfs, partial(kept, image))),
            by_losetup(LOSETUP, image),
            stack.enter_context(by_libblockdev(LIBBLOCKDEV, image, times=1)),
        ]
        return interleaved("cycle", contenders, rounds=place.extent.of(300, 15), warm_up=place.extent.of(20, 3))


def by_library(place: Place, folder: Path, work: Callable[[], object], times: int = TIMES) -> Callable[[], float]:
    """Return a sample of the library with its ledger in that folder."""
    return timed(work, times=times, before=lambda: place.use_ledger_on(folder))


def scoped(image: Path | str) -> None:
    """Attach and detach."""
    with attached(image):
        pass


def kept(image: Path) -> None:
    """Attach, and detach as a later process does."""
    release(attach_kept(image))
