"""Attacks that prototypes of the design survived or failed; those not told by the other tests of real devices."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._medium import Medium
from ntt_loops._medium.release import release_medium
from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.holding import reader
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, is_bound, new_id, new_image, partitions_left
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ntt_loops import LoopDevice

TIMEOUT = 2.0
#: What a tag has before the medium.
LEAD_BYTES = len("ntt1:00000000:k:000000:")


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library behind a fence."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


@contextmanager
def _owner(loops: Loops, image: Path) -> Iterator[LoopDevice]:
    """A living process in a ``with`` block, whose device has a partition."""

    def hold(say: Callable[[object], None]) -> None:
        with loops.attached(image) as device:
            say(device)
            time.sleep(600)

    with forks() as start:
        device: LoopDevice = start(hold).hear()
        oracle.run(require_tool("addpart"), str(device), "1", "8", "8")
        yield device


def test_the_partitions_of_a_living_owner_stay(loops: Loops, tmp_path: Path) -> None:
    """No release and no sweep takes a partition from under a ``with`` block, its image deleted or not."""
    image = new_image(tmp_path)
    with _owner(loops, image) as device:
        for what in (image.stem, image):
            with pytest.raises(DeviceBusyError) as caught:
                loops.release_all(what, unmount=True, timeout=0.1)
            assert [one.kind for one in caught.value.holders] == ["owner"]
        image.unlink()
        assert [one.reason for one in loops.sweep(system=True, kept_older_than=0).kept] == ["owner alive"]
        assert oracle.partition_nodes(str(device)) == [f"{device}p1"]
        assert is_bound(device)
    oracle.wait_until(lambda: not is_bound(device), "it goes with its owner")
    assert partitions_left(device) == []


def test_a_torn_line_before_a_good_one_loses_no_device(loops: Loops, tmp_path: Path) -> None:
    """A line that a crash left unfinished, with a whole one behind it: the tags say what was on record."""
    image = new_image(tmp_path)
    devices = {str(loops.attach_kept(image)) for _ in range(3)}
    path = tmp_path / "run" / f"{image.stem}.jsonl"
    head, first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first + second[:40] + third)
    report = loops.release_all(image.stem)
    assert {one.device for one in report.released} == devices
    assert any("set aside" in problem for problem in report.problems)


@pytest.mark.parametrize("by", ["inode", "path", "sweep"])
def test_a_device_without_a_size_is_found(loops: Loops, tmp_path: Path, by: str) -> None:
    """A device of an empty file is in no list of disks that have a size; it keeps the file all the same."""
    image = tmp_path / "empty.img"
    image.touch()
    device = by_losetup(image)
    if by != "inode":
        image.unlink()
    released = loops.sweep(under=tmp_path).released if by == "sweep" else loops.release_all(image).released
    assert [(one.device, one.freed_bytes) for one in released] == [(str(device), 0)]
    assert not is_bound(device)


def test_an_image_that_was_cut_to_nothing_is_released(loops: Loops, tmp_path: Path) -> None:
    """A kept device that lost its size since: by id."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    os.truncate(image, 0)
    oracle.run("losetup", "--set-capacity", str(device))
    assert rawloop.sysfs(device.number, "size") == b"0"
    assert [one.device for one in loops.release_all(image.stem).released] == [str(device)]
    assert not is_bound(device)


@pytest.mark.parametrize("tag_bytes", [63, 64])
def test_an_id_that_just_fits_the_tag_and_one_that_does_not(loops: Loops, tmp_path: Path, tag_bytes: int) -> None:
    """The kernel cuts a name of 64 bytes: without a ledger both ids' devices are found, and the shorter id's alone."""
    longest = f"{new_id():-<{tag_bytes - LEAD_BYTES}}"
    devices = [loops.attach_kept(new_image(tmp_path), medium=medium) for medium in (longest, longest[:-1])]
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    for device, medium in zip(devices, (longest, longest[:-1]), strict=True):
        assert [(one.device, one.found_by) for one in loops.release_all(medium).released] == [(str(device), "tag")]


class _Clock:
    """Time that passes in pauses only."""

    slept = 0.0

    def monotonic(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_six_busy_devices_share_one_deadline(loops: Loops, tmp_path: Path) -> None:
    """All pauses together are as long as the one timeout, however many devices are in use, and each is named."""
    image, clock = new_image(tmp_path), _Clock()
    devices = [loops.attach_kept(image) for _ in range(6)]
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(reader(device))
        with pytest.raises(DeviceBusyError) as caught:
            release_medium(*loops._world(), Medium(image.stem), Deadline.after(TIMEOUT, clock), unmount=False)
    assert {one.device for one in caught.value.holders} == set(map(str, devices))
    assert clock.slept == pytest.approx(TIMEOUT)
    assert len(loops.release_all(image.stem).released) == 6
