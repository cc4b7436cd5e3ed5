"""Ctrl-C anywhere while a device or a medium is mounted or unmounted: nothing is left where cleaning code can run."""

from __future__ import annotations

import gc
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle
from tests.support.forked import together
from tests.support.images import make_image
from tests.support.interrupts import interrupt
from tests.support.media import new_hash
from tests.support.mountings import mount_points_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024
CHILDREN = 3
#: Every so many-th point, from another one on in each run.
STRIDE = 7


def _mounted(loops: Loops, folder: Path, image: Path) -> None:
    with loops.attached(image) as device, loops.mounted(device, folder / "mnt"):
        pass


def _mounted_medium(loops: Loops, folder: Path, image: Path) -> None:
    with loops.mounted_medium(image, root=folder / "root"):
        pass


def _mount_medium(loops: Loops, folder: Path, image: Path) -> None:
    loops.mount_medium(image, root=folder / "root")


def _unmount_medium(loops: Loops, folder: Path, image: Path) -> None:
    loops.mount_medium(image, root=folder / "root")
    loops.unmount_medium(image.stem, root=folder / "root")


def _left(folder: Path, image: Path) -> list[str]:
    """Return what is left of it."""
    oracle.wait_until(lambda: mount_points_below(folder) != [] or not oracle.bound_to_path(image), "the device goes")
    found = [*oracle.bound_to_path(image), *map(str, mount_points_below(folder))]
    return found + [str(path) for path in (folder / "mnt", folder / "root") if path.exists()]


def _every_point(work: Callable[[Loops, Path, Path], None], folder: Path, child: int, *, may_stay: bool) -> list[str]:
    """Interrupt at every point that is this child's; say after which one something was left."""
    warnings.simplefilter("ignore", ResourceWarning)
    folder.mkdir()
    loops = Loops(folder / "run")
    image = make_image(folder / f"{new_hash()}.img", size_bytes=MIB)
    work(loops, folder, image)
    loops.unmount_medium(image.stem, root=folder / "root")
    (folder / "root").exists() and (folder / "root").rmdir()
    gc.collect()
    gc.freeze()
    lost, at = [], 1 + child * STRIDE
    while interrupt(partial(work, loops, folder, image), at):
        left = _left(folder, image)
        if left and not may_stay:
            lost.append(f"point {at}: {left}")
        if left:
            loops.unmount_medium(image.stem, root=folder / "root")
            (folder / "root").exists() and (folder / "root").rmdir()
            if after := _left(folder, image):
                lost.append(f"point {at}, after unmount_medium: {after}")
        at += CHILDREN * STRIDE
    loops.unmount_medium(image.stem, root=folder / "root")
    return [str(at), *lost]


@pytest.mark.parametrize("work", [_mounted, _mounted_medium, _mount_medium, _unmount_medium])
def test_an_interrupt_anywhere(tmp_path: Path, work: Callable[[Loops, Path, Path], None]) -> None:
    """Mounted for a block, all is gone after it; for good, a later unmount_medium does the rest."""
    may_stay = work in (_mount_medium, _unmount_medium)
    calls = [partial(_every_point, work, tmp_path / f"{one}", one, may_stay=may_stay) for one in range(CHILDREN)]
    for points, *lost in together(*calls, seconds=240):
        assert int(points) > 1000
        assert lost == []
