"""Ctrl-C anywhere while a device or a medium is mounted or unmounted: nothing is left where cleaning code can run.

On the kernel in memory, since each point takes a run of its own; some of them are tried on the real one, too.
"""

from __future__ import annotations

import gc
import shutil
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops.testing import MemoryKernel
from tests.support.forked import together
from tests.support.images import make_image
from tests.support.interrupts import interrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHILDREN = 2
#: Every so many-th point is tried; all of them take minutes.
STRIDE = 5
MEDIUM = "disk-1"


class Scene:
    """A kernel, an image with a file system, and a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.kernel = MemoryKernel()
        self.loops = Loops(folder / "run", self.kernel)
        self.image = make_image(folder / f"{MEDIUM}.img", size_bytes=4096, fs=None)
        self.root = folder / "root"
        self.kernel.format(self.image, "ext4")

    def left(self) -> list[object]:
        """Return what is left of a mount."""
        folders = [path for path in (self.folder / "mnt", self.root) if path.exists()]
        return [*self.kernel.bound_numbers(), *self.kernel.mount_points(), *folders]

    def tidy(self) -> None:
        """Unmount what stays by design, and take the root away."""
        self.loops.unmount_medium(MEDIUM, root=self.root, timeout=0.5)
        if self.root.exists():
            self.root.rmdir()


def _mounted(scene: Scene) -> None:
    with scene.loops.attached(scene.image) as device, scene.loops.mounted(device, scene.folder / "mnt"):
        pass


def _mounted_medium(scene: Scene) -> None:
    with scene.loops.mounted_medium(scene.image, root=scene.root):
        pass


def _mount_medium(scene: Scene) -> None:
    scene.loops.mount_medium(scene.image, root=scene.root)


def _unmount_medium(scene: Scene) -> None:
    scene.loops.mount_medium(scene.image, root=scene.root)
    scene.loops.unmount_medium(MEDIUM, root=scene.root)


def _every_point(work: Callable[[Scene], None], folder: Path, child: int, *, may_stay: bool) -> list[str]:
    """Interrupt at every point that is this child's; say after which one something was left."""
    warnings.simplefilter("ignore", ResourceWarning)
    scene = Scene(folder)
    work(scene)
    scene.tidy()
    gc.collect()
    gc.freeze()
    lost, at = [], 1 + child * STRIDE
    while interrupt(partial(work, scene), at):
        left = scene.left()
        if left and not may_stay:
            lost.append(f"point {at}: {left}")
        if left:
            scene.tidy()
        if after := scene.left():
            lost.append(f"point {at}, after unmount_medium: {after}")
        shutil.rmtree(folder / "run", ignore_errors=True)  # records that were not taken off would pile up
        at += CHILDREN * STRIDE
    scene.tidy()
    return [str(at), *lost]


@pytest.mark.parametrize("work", [_mounted, _mounted_medium, _mount_medium, _unmount_medium])
def test_an_interrupt_anywhere(tmp_path: Path, work: Callable[[Scene], None]) -> None:
    """What is mounted for a block is gone after it; what is mounted for good is whole, or goes by unmount_medium."""
    may_stay = work in (_mount_medium, _unmount_medium)
    calls = [partial(_every_point, work, tmp_path / f"{one}", one, may_stay=may_stay) for one in range(CHILDREN)]
    for points, *lost in together(*calls, seconds=600):
        assert int(points) > 300
        assert lost == []
