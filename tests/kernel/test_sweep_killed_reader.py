"""A reader of a hung device that was killed: its last close waits in the kernel, and every open of the node with it."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.kernels import FencedKernel
from tests.support.media import new_image
from tests.support.served import hidden_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.served import HiddenServer

TIMEOUT = 1.0
#: By then a call with that deadline is over, or it never will be.
NEVER_SECONDS = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HiddenServer]:
    """A FUSE server, and a device for an image of its."""
    with hidden_server(tmp_path, 1) as running:
        yield running


def _release(loops: Loops, target: Path) -> tuple[list[str], list[str]]:
    """Return what was released, and the kinds of the holders where something stayed."""
    try:
        report = loops.release_all(target, timeout=TIMEOUT)
    except DeviceBusyError as error:
        return [one.device for one in error.report.released], [one.kind for one in error.holders]
    return [one.device for one in report.released], []


def _sweep(loops: Loops) -> tuple[list[str], list[str]]:
    report = loops.sweep(system=True, timeout=TIMEOUT)
    return [one.device for one in report.released], [one.reason for one in report.kept]


def _make(call: Callable[[], tuple[list[str], list[str]]], _: object) -> tuple[list[str], list[str]]:
    return call()


def test_releases_and_sweeps_still_end(server: HiddenServer, tmp_path: Path) -> None:
    """A release of that device ends, told as busy; another medium is released, and a sweep takes its orphan."""
    loops = Loops(tmp_path / "run", FencedKernel(tmp_path, nodes=server.nodes))
    image, other, orphan = new_image(server.folder), new_image(tmp_path), new_image(tmp_path)
    device = server.attach_kept(tmp_path / "run", image)
    released, swept = (str(loops.attach_kept(one)) for one in (other, orphan))
    orphan.unlink()
    calls = [partial(_release, loops, image), partial(_release, loops, other), partial(_sweep, loops)]
    with server.stopped() as start_reader, forks() as start:
        reader = start_reader(device.path.read_bytes)
        oracle.wait_until(reader.is_stuck_in_kernel, "the reader hangs")
        os.kill(reader.pid, signal.SIGKILL)
        found = [start(partial(_make, call)).hear(NEVER_SECONDS) for call in calls]
        assert found[0][0] == []
        assert found[1] == ([released], [])
        assert found[2][0] == [swept]
    oracle.wait_until(lambda: _release(loops, image)[1] == [] and not rawloop.is_bound(device.number), "it goes")
