"""``release_all`` of the many devices of one medium, per device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ntt_loops import attach_kept, release_all
from tests.benchmarks import bare
from tests.benchmarks.children import BASH_RELEASE, bash
from tests.benchmarks.measuring import Contender, Row, interleaved, timed
from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.place import Place

DEVICES: Final = 64

BARE: Final = "bare open, CLR_FD, close, Python"
OWN: Final = "`release_all` of devices that `attach_kept` made"
FOREIGN: Final = "`release_all` of devices that losetup made"
BASH: Final = "bash: `losetup -l`, grep, `losetup -d`"


def measure(place: Place) -> list[Row]:
    """Measure the release of 64 devices by each."""
    image = place.image()
    nodes: list[str] = []
    attach = partial(_attach_foreign, image, nodes)
    contenders = [
        Contender(BARE, _sample(image, partial(_detach, nodes), attach)),
        Contender(OWN, _sample(image, lambda: release_all(image.stem), partial(_attach_kept, image))),
        Contender(FOREIGN, _sample(image, lambda: release_all(image.stem), attach)),
        Contender(BASH, _sample(image, bash(BASH_RELEASE, image.stem), attach)),
    ]
    return interleaved(
        f"{DEVICES} devices, each", contenders, rounds=place.extent.of(30, 3), warm_up=place.extent.of(3, 1)
    )


def _sample(image: Path, work: Callable[[], object], attach: Callable[[], object]) -> Callable[[], float]:
    whole = timed(work, before=attach, after=lambda: _check_is_gone(image))
    return lambda: whole() / DEVICES


def _attach_kept(image: Path) -> None:
    for _ in range(DEVICES):
        attach_kept(image)


def _attach_foreign(image: Path, nodes: list[str]) -> None:
    nodes[:] = [bare.attach(str(image)) for _ in range(DEVICES)]


def _detach(nodes: list[str]) -> None:
    for node in nodes:
        bare.detach(node)


def _check_is_gone(image: Path) -> None:
    oracle.wait_until(lambda: not oracle.bound_to_path(image), "all devices are gone")
