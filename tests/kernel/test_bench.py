"""What `make bench` makes of devices goes again, whatever becomes of it; and a part of it does what it says."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import bare
from tests.benchmarks.crowd import crowd, number_of
from tests.benchmarks.parts import PARTS
from tests.benchmarks.place import Extent, Place
from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 5


def is_ours(node: str, folder: Path) -> bool:
    """Whether the device is bound to a file of that folder."""
    return (rawloop.backing_file(number_of(node)) or b"").startswith(bytes(folder))


def test_a_crowd_is_there_and_goes(tmp_path: Path) -> None:
    """Within the block each image is on its device, and after it none is."""
    images = [new_image(tmp_path) for _ in range(COUNT)]
    with crowd(images) as nodes:
        assert [rawloop.backing_file(number_of(node)) for node in nodes] == [bytes(image) for image in images]
    oracle.wait_until(lambda: not any(is_ours(node, tmp_path) for node in nodes), "the crowd is gone")


def test_a_crowd_goes_when_its_maker_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the program that measures leaves none of its devices."""
    images = [new_image(tmp_path) for _ in range(COUNT)]

    def work(say: Callable[[object], None]) -> None:
        with crowd(images) as nodes:
            say(nodes)
            signal.pause()

    with forks() as start:
        child = start(work)
        nodes = child.hear()
        assert all(is_ours(node, tmp_path) for node in nodes)
        child.kill(signal.SIGKILL)
        child.wait()
    oracle.wait_until(lambda: not any(is_ours(node, tmp_path) for node in nodes), "the crowd is gone")


def test_the_bare_ioctls_do_what_they_are_measured_for(tmp_path: Path) -> None:
    """A bare cycle leaves nothing, attach leaves the image on a read-only device, and detach takes it away."""
    image = new_image(tmp_path)
    assert bare.cycle(os.fspath(image)) >= 1
    oracle.wait_until(lambda: oracle.bound_to_path(image) == [], "the cycle's device is gone")
    node = bare.attach(os.fspath(image))
    assert oracle.bound_to_path(image) == [node]
    assert rawloop.sysfs(number_of(node), "ro") == b"1"
    bare.detach(node)
    oracle.wait_until(lambda: oracle.bound_to_path(image) == [], "the device is gone")


@pytest.mark.parametrize("name", ["budget", "interpreter", "release"])
def test_a_part_measures_and_leaves_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every contender has its samples, and no device of the part is left."""
    monkeypatch.setenv("NTT_LOOPS_RUN_DIR", os.fspath(tmp_path / "run"))
    rows = PARTS[name].measure(Place(Extent(is_quick=True), tmp_path, tmp_path))
    assert rows
    assert [row for row in rows if row.samples == 0] == []
    assert oracle.bound_below(tmp_path) == []
