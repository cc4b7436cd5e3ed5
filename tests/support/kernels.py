"""The real kernel, seen through a fence or with hand-picked numbers, so that a test touches no stranger's device."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from ntt_loops._kernel.linux import LinuxKernel
from tests.support import rawloop


class FencedKernel(LinuxKernel):
    """Lists no device but those whose image lies, or lay, below one folder: "the whole host" is then ours."""

    def __init__(self, folder: Path, *also: Path, nodes: dict[int, Path] | None = None) -> None:
        """Fence all else off, but for the images that are named; open these numbers by these nodes."""
        super().__init__()
        self._below = (os.fsencode(folder) + b"/", *map(os.fsencode, also))
        self._nodes = nodes or {}

    def bound_numbers(self) -> list[int]:
        """Return the numbers of the bound devices of this folder."""
        return [number for number in super().bound_numbers() if self._is_below(number)]

    def _is_below(self, number: int) -> bool:
        bound = self.look(number)
        return bound is not None and bound.backing_file.startswith(self._below)

    def node(self, number: int, partition: int | None = None) -> str:
        """Return the node that was given, else that in /dev."""
        return os.fspath(self._nodes.get(number) or super().node(number, partition))


class QuickKernel(FencedKernel):
    """Asks only devices that have a size, as images of some sectors give them.

    Where a machine has a thousand nodes of others, a naive look at each takes longer than all the rest (F36).
    """

    def bound_numbers(self) -> list[int]:
        """Return the numbers of the bound devices of this folder."""
        return [number for number in sized_numbers() if self._is_below(number)]


class OwnNumbersKernel(QuickKernel):
    """Makes a number for each device, and takes none that another process has made for itself.

    Thousands of devices would else: GET_FREE hands out any number that is there and not bound.
    """

    def __init__(self, folder: Path) -> None:
        """Begin far from the lowest free number."""
        super().__init__(folder)
        self._next = secrets.randbelow(500_000) + 100_000
        self.made: list[int] = []

    def get_free(self) -> int:
        """Return a new number."""
        while True:
            self._next += 1
            with suppress(FileExistsError):
                self.made.append(rawloop.add(self._next))
                return self.made[-1]


def sized_numbers() -> list[int]:
    """Return the numbers of all loop devices that have a size."""
    names = [line.split()[-1] for line in Path("/proc/partitions").read_text().splitlines()[2:]]
    return [int(name[4:]) for name in names if name.startswith("loop") and name[4:].isdecimal()]


class PinnedKernel(LinuxKernel):
    """Offers these numbers as the free ones, first to last, and opens each by the node that goes with it."""

    def __init__(self, nodes: dict[int, Path]) -> None:
        """Take numbers that the test has made, each with its node, which need not be in /dev."""
        super().__init__()
        self._nodes = nodes
        self._offered = list(nodes)

    def get_free(self) -> int:
        """Return the first of the numbers that is not bound."""
        return next(number for number in self._offered if not self.is_bound(number))

    def next_free(self, after: int) -> int:
        """Return the next of the numbers that is not bound; ENOSPC where there is no other, as in a full pool."""
        for number in self._offered:
            if number > after and not self.is_bound(number):
                return number
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def node(self, number: int, partition: int | None = None) -> str:
        """Return the node that was given."""
        is_given = partition is None and number in self._nodes
        return os.fspath(self._nodes[number]) if is_given else super().node(number, partition)
