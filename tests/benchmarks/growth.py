"""What is left after very many cycles: descriptors, memory, objects, files."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ntt_loops import attach_kept, attached, release_all
from tests.benchmarks.measuring import Row
from tests.support.forked import elsewhere

if TYPE_CHECKING:
    from tests.benchmarks.place import Place

WARM_UP: Final = 200
CONTENDER: Final = "`with attached`; each tenth time also kept and released"
DESCRIPTORS: Final = "descriptors"
MEMORY: Final = "resident memory"
BLOCKS: Final = "blocks of Python's allocator"
FILES: Final = "files in the ledger folder"
_KINDS: Final = ((DESCRIPTORS, ""), (MEMORY, "KiB"), (BLOCKS, ""), (FILES, ""))


def case(cycles: int) -> str:
    """Return how a number of cycles is written."""
    return f"after {cycles:,} cycles"


def measure(place: Place) -> list[Row]:
    """Measure in a child process what there is more of than after the warm-up, in the middle and at the end."""
    cycles = place.extent.of(10_000, 500)
    images = [place.image() for _ in range(3)]
    middle, end = elsewhere(partial(_grown, images, cycles // 2, place.tmpfs / "run"))
    return [
        Row(case(count), CONTENDER, what, unit, more, more, more, 1)
        for count, grown in ((cycles // 2, middle), (cycles, end))
        for (what, unit), more in zip(_KINDS, grown, strict=True)
    ]


def _grown(images: list[Path], half: int, run_dir: Path) -> list[list[float]]:
    _repeat(images, WARM_UP)
    before = _sizes(run_dir)
    grown = []
    for _ in range(2):
        _repeat(images, half)
        grown.append([float(now - then) for now, then in zip(_sizes(run_dir), before, strict=True)])
    return grown


def _repeat(images: list[Path], cycles: int) -> None:
    for count in range(cycles):
        image = images[count % len(images)]
        with attached(image):
            pass
        if count % 10 == 0:
            attach_kept(image)
            release_all(image.stem)


def _sizes(run_dir: Path) -> tuple[int, int, int, int]:
    gc.collect()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    kibibytes = resident_pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return descriptors, kibibytes, sys.getallocatedblocks(), len(list(run_dir.iterdir()))
