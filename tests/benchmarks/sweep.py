"""``sweep(system=True)`` over a host full of devices, some of them orphans.

The library is fenced: what it does to "the host" is done to this run's own devices alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ntt_loops import Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.benchmarks import bare
from tests.benchmarks.children import BASH_LOOK, BASH_SWEEP, bash
from tests.benchmarks.crowd import crowd, number_of
from tests.benchmarks.measuring import Contender, Row, interleaved, timed
from tests.benchmarks.place import TIMEOUT_SECONDS
from tests.support import oracle, rawloop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.place import Place

BARE: Final = "bare open, CLR_FD, close of the orphans, Python"
LIBRARY: Final = "`sweep(system=True)`"
DRY: Final = "`sweep(system=True, dry_run=True)`"
BASH: Final = "bash: `losetup -l`, grep, `losetup -d`"
BASH_DRY: Final = "bash: `losetup -l`, grep"


class OwnDevices(LinuxKernel):
    """The real kernel, on which no other devices are bound than these numbers."""

    def __init__(self) -> None:
        """Fence all off."""
        super().__init__()
        self.own: set[int] = set()

    def bound_numbers(self) -> list[int]:
        """Return those of them that are bound."""
        return [number for number in super().bound_numbers() if number in self.own]


class Orphans:
    """Devices whose image is deleted, and which nobody uses; made anew each time."""

    def __init__(self, place: Place, count: int) -> None:
        """Make none yet."""
        self._place = place
        self._count = count
        self.nodes: list[str] = []

    def make(self) -> None:
        """Attach images, and delete them; those that are there already stay."""
        while len(self.nodes) < self._count:
            image = self._place.small_image()
            self.nodes.append(bare.attach(str(image)))
            image.unlink()

    def check_gone(self) -> None:
        """See that none is bound, and have none."""
        numbers = set(map(number_of, self.nodes))
        oracle.wait_until(lambda: not any(self._is_ours(number) for number in numbers), "all orphans are gone")
        self.nodes.clear()

    def _is_ours(self, number: int) -> bool:
        return (rawloop.backing_file(number) or b"").startswith(bytes(self._place.tmpfs))

    def detach(self) -> None:
        """Detach them in the least time."""
        for node in self.nodes:
            bare.detach(node)


def measure(place: Place) -> list[Row]:
    """Measure each over 1,000 bound devices, 100 of which are orphans."""
    count, deleted = place.extent.of(1000, 100), place.extent.of(100, 10)
    orphans = Orphans(place, deleted)
    images = [place.small_image() for _ in range(count - deleted)]
    with crowd(images) as living:
        try:
            rows = interleaved(
                f"{count:,} devices, {deleted} orphans",
                _contenders(place, living, orphans),
                rounds=place.extent.of(10, 3),
                warm_up=1,
            )
        finally:
            orphans.detach()
        _check_stay(living, images)
    return rows


def _contenders(place: Place, living: list[str], orphans: Orphans) -> list[Contender]:
    kernel = OwnDevices()
    loops = Loops(place.tmpfs / "run", kernel)

    def prepare() -> None:
        orphans.make()
        kernel.own = set(map(number_of, [*living, *orphans.nodes]))

    def sweep() -> None:  # it waits for nobody: one that others look at just now takes another sweep
        left = len(orphans.nodes)
        while left > 0:
            left -= len(loops.sweep(system=True, timeout=TIMEOUT_SECONDS).released)

    def look() -> None:
        loops.sweep(system=True, dry_run=True, timeout=TIMEOUT_SECONDS)

    folder = str(place.tmpfs)
    whole = partial(timed, before=prepare, after=orphans.check_gone)
    dry = partial(timed, before=prepare)
    return [
        Contender(BARE, whole(orphans.detach)),
        Contender(LIBRARY, whole(sweep)),
        Contender(BASH, whole(bash(BASH_SWEEP, folder))),
        Contender(DRY, dry(look)),
        Contender(BASH_DRY, dry(bash(BASH_LOOK, folder))),
    ]


def _check_stay(living: list[str], images: list[Path]) -> None:
    for node, image in zip(living, images, strict=True):
        assert rawloop.backing_file(number_of(node)) == bytes(image), node
