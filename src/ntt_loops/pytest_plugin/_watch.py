"""Before and after: what came meanwhile and is still there, on all kernels that a test works on."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING, Final

from ntt_loops._default import DEFAULT
from ntt_loops.pytest_plugin import _descriptors
from ntt_loops.pytest_plugin._kernel_watch import KernelWatch
from ntt_loops.pytest_plugin._sightings import Before, MemorySights, RealSights
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ntt_loops._world import World
    from ntt_loops.pytest_plugin._leak import Leak

#: A scoped device goes a moment after its last close where udev looks at it; longer on a machine that is busy.
SETTLE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.02


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    """Watch for the length of a test."""
    with DEFAULT.watched(lambda _: True) as worlds:
        yield Watch(os.fsencode(folder), worlds)


@contextlib.contextmanager
def watching_run(folder: Path) -> Iterator[Watch]:
    """Watch for the length of a run: not the kernels in memory, which would all have to be kept till its end."""
    with DEFAULT.watched(lambda world: not isinstance(world.kernel, MemoryKernel)) as worlds:
        yield Watch(os.fsencode(folder), worlds)


class Watch:
    """What there was when it was made, and what has come since.

    Args:
        folder: The temporary folder of the test run: what lies below it is its own.
        worlds: The worlds that were used since, a list that grows.
    """

    def __init__(self, folder: bytes, worlds: list[World]) -> None:
        self._worlds = worlds
        self._kernels = [KernelWatch(sights, sights.before()) for sights in _present(folder)]
        self._descriptors = _descriptors.open_now()

    def look(self) -> None:
        """Note what is there now: what is left of it later may not tell any more whose it was."""
        for kernel in self._all_kernels():
            kernel.look(self._worlds)

    def leaks(self, images: Callable[[], Iterable[Path]] = tuple) -> list[Leak]:
        """Return what came and stays; ``images`` are more files that must not be open any more."""
        deadline = time.monotonic() + SETTLE_SECONDS
        found = self._found(images())
        if found:
            gc.collect()  # what only a cycle of references still holds is not left by the test
            found = self._found(images())
        while any(one.may_go for one in found) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            found = self._found(images())
        return found

    def _found(self, images: Iterable[Path]) -> list[Leak]:
        kernels = self._all_kernels()
        found = [leak for kernel in kernels for leak in kernel.leaks(self._worlds)]
        paths = {os.fsencode(one) for one in images}.union(*(kernel.seen_images for kernel in kernels))
        for kernel in kernels:
            if kernel.is_memory:  # it has its images open in this process, as the real one has them open in itself
                paths -= kernel.bound_images
        folders = {os.fsencode(one.ledger.run_dir) for one in self._worlds}
        return [*found, *_descriptors.leaks(self._descriptors, paths, folders)]

    def _all_kernels(self) -> list[KernelWatch]:
        """Return them, with the kernels in memory that were made since: on those there was nothing before."""
        for world in self._worlds:
            if isinstance(world.kernel, MemoryKernel) and not any(one.sights.is_on_it(world) for one in self._kernels):
                self._kernels.append(KernelWatch(MemorySights(world.kernel), Before()))
        return self._kernels


def _present(folder: bytes) -> Iterator[MemorySights | RealSights]:
    """Yield the kernels that are there now: the one in memory that stands in, and the real one."""
    world = DEFAULT.stand_in()
    if world is not None and isinstance(world.kernel, MemoryKernel):
        yield MemorySights(world.kernel)
    if os.access("/sys/block", os.F_OK):
        from ntt_loops._kernel.linux import LinuxKernel  # noqa: PLC0415 - there is none on other systems

        yield RealSights(LinuxKernel(), folder)
