"""Many threads and processes at once on one image: each has a device of its own, and none is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ntt_loops import Loops
from tests.support import oracle, rawloop
from tests.support.features import has_diskseq
from tests.support.forked import together
from tests.support.media import new_image

if TYPE_CHECKING:
    from pathlib import Path

THREADS = 8
PROCESSES = 4
CYCLES = 20
#: Longer than it takes on a busy machine: nothing here is about time.
TIMEOUT = 60.0


def _cycles(run_dir: Path, image: Path) -> list[tuple[int, bytes]]:
    """Attach and detach; return the inode that was really attached, and the tag, each time."""
    loops = Loops(run_dir)
    found = []
    for _ in range(CYCLES):
        with loops.attached(image, timeout=TIMEOUT) as device, rawloop.opened(device) as descriptor:
            status = rawloop.get_status(descriptor)
            found.append((status.inode, status.file_name))
        # The descriptor is closed first, so that nobody keeps the device.
        if has_diskseq():
            assert not oracle.is_bound(str(device)) or oracle.diskseq(device.number) != device.diskseq
    return found


def _check(found: list[list[tuple[int, bytes]]], image: Path, run_dir: Path) -> None:
    attached = [one for each in found for one in each]
    assert {inode for inode, _ in attached} == {image.stat().st_ino}
    assert len({tag for _, tag in attached}) == len(attached)
    assert not oracle.bound_devices(image)
    assert list(run_dir.iterdir()) == []


def test_threads(tmp_path: Path) -> None:
    """8 threads of 20 cycles each on one image."""
    image, run_dir = new_image(tmp_path), tmp_path / "run"
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda _: _cycles(run_dir, image), range(THREADS)))
    assert [len(each) for each in found] == [CYCLES] * THREADS
    _check(found, image, run_dir)


def test_processes(tmp_path: Path) -> None:
    """4 processes of 20 cycles each on one image."""
    image, run_dir = new_image(tmp_path), tmp_path / "run"
    found = together(*[partial(_cycles, run_dir, image)] * PROCESSES)
    assert [len(each) for each in found] == [CYCLES] * PROCESSES
    _check(found, image, run_dir)
