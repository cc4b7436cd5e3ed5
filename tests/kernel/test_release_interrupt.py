"""A KeyboardInterrupt anywhere in a release: a device in use is not left armed, and nothing stays open or locked."""

from __future__ import annotations

import gc
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._kernel.descriptors import open_numbers
from tests.support import rawloop
from tests.support.forked import together
from tests.support.holding import reader
from tests.support.interrupts import PACKAGE, interrupt
from tests.support.kernels import PinnedKernel
from tests.support.media import new_image
from tests.support.rig import hidden_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ntt_loops import LoopDevice
    from ntt_loops._kernel import Mount, Opener

CHILDREN = 2
#: What is tried: each point of the code that arms and disarms, and one in so many of the whole call.
EACH_OF_THE_DETACH = (f"{PACKAGE}/_attachment/", 1)
SOME_OF_ALL = (PACKAGE, 11)


class LonelyKernel(PinnedKernel):
    """Sees its own device and nobody else: looks at all processes and mounts have too many points to interrupt."""

    def mounts(self, *, only_ours: bool = False) -> list[Mount]:  # noqa: ARG002 - as called
        """Return none."""
        return []

    def openers(self, rdevs: frozenset[int], *, pid: int | None = None) -> list[Opener]:  # noqa: ARG002 - as called
        """Return none."""
        return []

    def loops_on(self, rdevs: frozenset[int]) -> list[tuple[int, int]]:  # noqa: ARG002 - as called
        """Return none."""
        return []

    def is_remote_elsewhere(self) -> bool:
        """Return that all storage is local."""
        return False

    def may_hang(self, paths: Sequence[bytes]) -> list[bool]:
        """Return that all storage is local."""
        return [False] * len(paths)

    def bound_numbers(self) -> list[int]:
        """Return none: a release of one device lists that one."""
        return []


def _fail_to_release(loops: Loops, device: LoopDevice) -> None:
    with pytest.raises(DeviceBusyError):
        loops.release(device, timeout=0)


def _interrupted(loops: Loops, device: LoopDevice, within: str, points: range) -> list[str]:
    """Interrupt the release of a device in use at these points; return the last one, and what was wrong after one."""
    warnings.simplefilter("ignore", ResourceWarning)
    _fail_to_release(loops, device)
    gc.collect()
    gc.freeze()
    wrong = []
    for at in points:
        if not interrupt(partial(_fail_to_release, loops, device), at, within):
            break
        if rawloop.sysfs(device.number, "loop/autoclear") != b"0":
            wrong.append(f"armed after point {at}")
            _fail_to_release(loops, device)  # disarms it
        if open_numbers():
            wrong.append(f"descriptors open after point {at}: {open_numbers()}")
    return [str(at), *wrong]


@pytest.mark.parametrize("tried", [EACH_OF_THE_DETACH, SOME_OF_ALL], ids=["each of the detach", "some of all"])
@pytest.mark.parametrize("writable", [False, True])
def test_a_device_in_use_is_not_left_armed(tmp_path: Path, tried: tuple[str, int], *, writable: bool) -> None:
    """Where an interrupt hits the release of a device that a process reads, AUTOCLEAR is clear afterwards."""
    within, stride = tried
    works, nodes = [], [tmp_path / f"node{child}" for child in range(CHILDREN)]
    # Hidden devices: no look of others at them changes which way a release takes.
    with hidden_number(nodes[0]) as first, hidden_number(nodes[1]) as second:
        devices = []
        for child, (number, node) in enumerate(zip((first, second), nodes, strict=True)):
            loops = Loops(tmp_path / f"run{child}", LonelyKernel({number: node}))
            devices.append((loops, loops.attach_kept(new_image(tmp_path), writable=writable)))
            points = range(1 + child * stride, 1_000_000, CHILDREN * stride)
            works.append(partial(_interrupted, *devices[-1], within, points))
        with reader(nodes[0]), reader(nodes[1]):
            found = together(*works)
        for loops, device in devices:
            loops.release(device)
    for points, *wrong in found:
        assert int(points) > 100
        assert wrong == []
