"""P2, P3, P5: many processes at once, as other tools were measured, and a storm of all operations."""

from __future__ import annotations

import errno
import os
import random
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ntt_loops import DeviceBusyError, LedgerError, Loops
from tests.proof.extent import is_whole
from tests.support import oracle, rawloop
from tests.support.forked import together
from tests.support.kernels import FencedKernel
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: 480 attaches were 57 devices still bound with losetup, 168 errors with osbuild's loop.py.
PROCESSES, CYCLES = 16, 30
STORMERS, STORM_CYCLES, MEDIA = (32, 200, 8) if is_whole() else (8, 15, 4)
#: Nothing here is about time: longer than it takes on a busy machine.
TIMEOUT = 120.0


@contextmanager
def _scanned(folder: Path) -> Iterator[None]:
    """Open and close every node that is bound below a folder, over and over, as udev and scanners do."""
    ended = threading.Event()

    def scan() -> None:
        while not ended.is_set():
            for device in oracle.bound_below(folder):
                try:
                    with rawloop.opened(device):
                        pass
                except OSError:  # it went meanwhile
                    continue

    thread = threading.Thread(target=scan)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _own_image(folder: Path, image: Path) -> tuple[int, int, int]:
    """Attach and detach one image; return how often it was attached, was another's device, was still bound after."""
    inode = image.stat().st_ino
    attached = wrong = bound = 0
    for _ in range(CYCLES):
        with Loops(folder / "run").attached(image, timeout=TIMEOUT) as device:
            attached += 1
            with rawloop.opened(str(device)) as descriptor:
                wrong += rawloop.get_status(descriptor).inode != inode
        bound += bool(oracle.bound_to_path(image))
    return attached, wrong, bound


def test_each_on_its_own_image(tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """Of 480 attaches in 16 processes all succeed, none gets another's device, none is still bound at its return."""
    images = [new_image(tmp_path) for _ in range(PROCESSES)]
    found = together(*[partial(_own_image, tmp_path, image) for image in images], seconds=600)
    assert [sum(column) for column in zip(*found, strict=True)] == [PROCESSES * CYCLES, 0, 0]
    record("attaches", PROCESSES * CYCLES)
    assert oracle.bound_below(tmp_path) == []


def _attacher(folder: Path, images: list[Path]) -> int:
    """Attach images of several media, scoped and kept, and see that each device shows its image while it is ours."""
    loops, source = Loops(folder / "run"), random.Random(os.getpid())
    for _ in range(STORM_CYCLES):
        image = source.choice(images)
        if source.random() < 0.3:
            loops.attach_kept(image, timeout=TIMEOUT)
            continue
        with loops.attached(image, timeout=TIMEOUT) as device, device.path.open("rb") as node:
            assert node.read(512) == image.read_bytes()[:512]
    return STORM_CYCLES


def _releaser(folder: Path, images: list[Path]) -> int:
    """Release media while others attach them.

    A living ``with`` block is busy, and where all others want the lock too, a short deadline may pass without it.
    """
    loops, source = Loops(folder / "run"), random.Random(os.getpid())
    for _ in range(STORM_CYCLES):
        try:
            loops.release_all(source.choice(images).stem, timeout=0.05)
        except (DeviceBusyError, LedgerError) as error:
            expected = errno.EBUSY if isinstance(error, DeviceBusyError) else errno.EAGAIN
            if error.errno != expected:
                raise
    return STORM_CYCLES


def _sweeper(folder: Path) -> int:
    """Sweep: no image is deleted, so nothing goes."""
    loops = Loops(folder / "run", FencedKernel(folder))
    assert [loops.sweep(system=True).released for _ in range(STORM_CYCLES // 5)] == [()] * (STORM_CYCLES // 5)
    return STORM_CYCLES // 5


def test_a_storm(tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """Attachers, releasers, sweepers and a scanner over a few media: no error, no wrong device, nothing left after."""
    images = [new_image(tmp_path) for _ in range(MEDIA)]
    for image in images:
        image.write_bytes(os.urandom(512) * 128)
    works = [partial(_attacher, tmp_path, images)] * (STORMERS - STORMERS // 4)
    works += [partial(_releaser, tmp_path, images)] * (STORMERS // 4 - 1)
    with _scanned(tmp_path):
        done = together(*works, partial(_sweeper, tmp_path), seconds=1800)
    record("operations of a storm", sum(done))
    for image in images:
        Loops(tmp_path / "run").release_all(image.stem, timeout=TIMEOUT)
    assert oracle.bound_below(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []
