"""Eight processes at once, each on an image of its own, while others open the nodes as udev does."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ntt_loops import Loops
from tests.support import oracle, rawloop
from tests.support.forked import together
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, new_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROCESSES = 8
CYCLES = 15
#: Longer than it takes on a busy machine: nothing here is about time.
TIMEOUT = 60.0


@contextmanager
def _looked_at(folder: Path) -> Iterator[list[int]]:
    """A thread that opens and closes each node that is bound to a file of the folder; yields how often it did."""
    ended, looks = threading.Event(), [0]

    def look() -> None:
        while not ended.is_set():
            for device in oracle.bound_below(folder):
                try:
                    with rawloop.opened(device):
                        looks[0] += 1
                except OSError:  # it went meanwhile
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()


def _inode_on(device: object) -> int:
    with rawloop.opened(str(device)) as descriptor:
        return rawloop.get_status(descriptor).inode


def _scoped(folder: Path, image: Path) -> list[int]:
    """Attach and detach; return the inodes that were really on the devices."""
    found = []
    for _ in range(CYCLES):
        with Loops(folder / "run").attached(image, timeout=TIMEOUT) as device:
            found.append(_inode_on(device))
            assert device.path.read_bytes() == image.read_bytes()
        assert oracle.bound_to_path(image) == []
    return found


def _kept(folder: Path, image: Path) -> list[int]:
    """Attach, and release: one device by itself, and all by the image's path."""
    loops = Loops(folder / "run", FencedKernel(folder))
    found = []
    for number in range(CYCLES):
        device = loops.attach_kept(image, timeout=TIMEOUT, writable=number % 3 == 0)
        found.append(_inode_on(device))
        if number % 2:
            loops.release(device, timeout=TIMEOUT)
        else:
            assert [one.device for one in loops.release_all(image, timeout=TIMEOUT).released] == [str(device)]
        assert oracle.bound_to_path(image) == []
    return found


def _images(folder: Path) -> list[Path]:
    """Make images whose contents tell them apart."""
    images = [new_image(folder) for _ in range(PROCESSES)]
    for image in images:
        image.write_bytes(os.urandom(512) * 8)
    return images


def test_with_blocks_in_eight_processes(tmp_path: Path) -> None:
    """Each process got a device of its own image in each cycle, while others opened the nodes; none is left."""
    images = _images(tmp_path)
    with _looked_at(tmp_path) as looks:
        found = together(*[partial(_scoped, tmp_path, image) for image in images])
    assert found == [[image.stat().st_ino] * CYCLES for image in images]
    assert looks[0] > 0
    assert oracle.bound_below(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_kept_devices_in_eight_processes(tmp_path: Path) -> None:
    """The same for devices that are kept and released, each process its own and nobody else's."""
    images = _images(tmp_path)
    with _looked_at(tmp_path):
        found = together(*[partial(_kept, tmp_path, image) for image in images])
    assert found == [[image.stat().st_ino] * CYCLES for image in images]
    assert oracle.bound_below(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_beside_losetup(tmp_path: Path) -> None:
    """Beside processes that attach and detach by losetup, nobody gets or loses a device of another."""
    images = _images(tmp_path)
    works = [partial(_scoped if number % 2 else _by_losetup, tmp_path, image) for number, image in enumerate(images)]
    assert together(*works) == [[image.stat().st_ino] * CYCLES for image in images]
    assert oracle.bound_below(tmp_path) == []


def _by_losetup(_folder: Path, image: Path) -> list[int]:
    found = []
    for _ in range(CYCLES):
        device = by_losetup(image)
        found.append(_inode_on(device))
        oracle.losetup_detach(device)
        oracle.wait_until(lambda: oracle.bound_to_path(image) == [], "losetup detaches it")
    return found


def test_sweeps_beside_attachers(tmp_path: Path) -> None:
    """Sweeps beside processes with blocks and kept devices take nothing away from any of them."""
    images = _images(tmp_path)
    works = [partial(_scoped if number % 2 else _kept, tmp_path, image) for number, image in enumerate(images[:4])]
    *found, swept, again = together(*works, partial(_sweep, tmp_path), partial(_sweep, tmp_path))
    assert found == [[image.stat().st_ino] * CYCLES for image in images[:4]]
    assert swept == again == []


def _sweep(folder: Path) -> list[str]:
    loops = Loops(folder / "run", FencedKernel(folder))
    return [one.device for _ in range(CYCLES) for one in loops.sweep(system=True).released]
