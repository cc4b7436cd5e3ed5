"""What other devices cost: a cycle, a release and a look, while ever more of them are bound."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from ntt_loops import attach_kept, list_media, release_all
from tests.benchmarks import bare, cycle
from tests.benchmarks.children import by_losetup
from tests.benchmarks.crowd import bound_count, crowd
from tests.benchmarks.measuring import Contender, Row, interleaved, timed
from tests.benchmarks.place import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.place import Place

#: So many others slow down everybody on the machine: few rounds only.
SLOW: Final = 4000

BARE: Final = "bare ioctls, Python"
CYCLE: Final = "`with attached`"
RELEASE: Final = "`release_all` of one device"
LIST_ONE: Final = "`list_media(medium)` of one device"
LIST: Final = "`list_media()` of one device"
LOSETUP: Final = "`losetup`, `losetup -d`"


def case(others: int) -> str:
    """Return how a number of others is written."""
    return f"{others:,} others"


def measure(place: Place) -> list[Row]:
    """Measure at each number of others, which are bound all the time."""
    rows = []
    for others in (0, 100, 1000, 4000)[: place.extent.of(4, 2)]:
        images = [place.small_image()] * others
        with crowd(images) if others else nullcontext():
            rows += _measured(place, others)
    return rows


def _measured(place: Place, others: int) -> list[Row]:
    rounds = place.extent.of(15 if others < SLOW else 5, 3)
    rows = interleaved(case(others), _contenders(place.image(), place.image()), rounds=rounds, warm_up=1)
    bound = float(bound_count())
    return [*rows, Row(case(others), "bound on the host", "devices", "", bound, bound, bound, 1)]


def _contenders(image: Path, other: Path) -> list[Contender]:
    """Return them; whoever looks for an image's devices has one of its own, which none of the others is still on."""

    def look_at_one() -> None:
        assert len(list_media(other.stem, timeout=TIMEOUT_SECONDS)) == 1

    def look() -> None:
        list_media(timeout=TIMEOUT_SECONDS)

    def keep() -> None:
        attach_kept(other)

    def release() -> None:
        assert release_all(other.stem, timeout=TIMEOUT_SECONDS).released

    return [
        Contender(BARE, timed(lambda: bare.cycle(str(image)), times=cycle.TIMES)),
        Contender(CYCLE, timed(lambda: cycle.scoped(image), times=cycle.TIMES)),
        Contender(RELEASE, timed(release, before=keep)),
        Contender(LIST_ONE, timed(look_at_one, before=keep, after=release)),
        Contender(LIST, timed(look, before=keep, after=release)),
        by_losetup(LOSETUP, image),
    ]
