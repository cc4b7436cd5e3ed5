"""Several releases of one medium at once: each device goes exactly once, and what is in use is not left armed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle
from tests.support.forked import forks, together
from tests.support.holding import reader
from tests.support.media import autoclear, by_attach_kept, by_losetup, is_bound, new_image
from tests.support.rawloop import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROUNDS = 20
TIMEOUT = 60.0


def _release(run_dir: Path, target: Path | str, timeout: float = TIMEOUT) -> list[str]:
    """Release a medium or an image; return what this call released, busy or not."""
    try:
        report = Loops(run_dir).release_all(target, timeout=timeout)
    except DeviceBusyError as error:
        report = error.report
    return [one.device for one in report.released]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The ledger of this test."""
    return tmp_path / "run"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    return new_image(tmp_path)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("releasers", [2, 8])
def test_each_device_is_released_once(run_dir: Path, image: Path, releasers: int, *, writable: bool) -> None:
    """Over all reports of 2 or 8 releases at once each device is released exactly once, and none is left."""
    for _ in range(3):
        made = [str(Loops(run_dir).attach_kept(image, writable=writable)) for _ in range(4)]
        made += [by_losetup(image, *([] if writable else ["-r"]), "-P") for _ in range(2)]
        found = together(*[partial(_release, run_dir, image.stem)] * releasers)
        assert sorted(device for each in found for device in each) == sorted(made)
        assert not oracle.bound_devices(image)


def _attach_and_hand_over(run_dir: Path, image: Path) -> list[str]:
    return [str(Loops(run_dir).attach_kept(image, timeout=TIMEOUT)) for _ in range(10)]


def test_beside_attachers_each_device_is_released_once(run_dir: Path, image: Path) -> None:
    """Two releases beside two processes that attach: nothing is released twice, and the last release finds the rest."""
    works: list[Callable[[], list[str]]] = [partial(_attach_and_hand_over, run_dir, image)] * 2
    works += [partial(_release, run_dir, image.stem)] * 2
    *made, first, second = together(*works)
    last = _release(run_dir, image.stem)
    assert len(first + second + last) == len([device for each in made for device in each]) == 20
    assert not oracle.bound_devices(image)


def _cycle(run_dir: Path, image: Path) -> int:
    for _ in range(10):
        with Loops(run_dir).attached(image, timeout=TIMEOUT) as device:
            assert str(device) in oracle.bound_devices(image)
            assert device.path.read_bytes() == image.read_bytes()
    return 10


def test_beside_with_blocks_nothing_is_taken_away(run_dir: Path, image: Path) -> None:
    """Two releases beside two processes with blocks of their own: each block keeps its device to its end."""
    works: list[Callable[[], object]] = [partial(_cycle, run_dir, image)] * 2
    works += [partial(_release, run_dir, image.stem)] * 2
    assert together(*works)[:2] == [10, 10]
    assert not oracle.bound_devices(image)


@contextmanager
def _nodes_opened(*devices: str) -> Iterator[None]:
    """A thread that opens and closes nodes, as udev and listings do."""
    ended = threading.Event()

    def open_all() -> None:
        while not ended.is_set():
            for device in devices:
                with opened(device):
                    pass

    thread = threading.Thread(target=open_all)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("made_by", ["attach_kept", "attach_kept writable", "losetup", "losetup writable"])
def test_a_reader_during_two_releases_leaves_nothing_armed(run_dir: Path, image: Path, made_by: str) -> None:
    """A device that a process reads all the while two releases try it is not armed afterwards, in any round."""
    writable = "writable" in made_by
    armed = []
    for number in range(ROUNDS):
        if made_by.startswith("losetup"):
            device = by_losetup(image, *([] if writable else ["-r"]), "-P")
        else:
            device = by_attach_kept(Loops(run_dir), image, writable=writable)
        with reader(device):
            together(*[partial(_release, run_dir, image, 0.03)] * 2)
            if autoclear(device) != "0":
                armed.append(number)
        if not armed:
            assert is_bound(device)
        oracle.wait_until(lambda: _release(run_dir, image) is not None, "all are released")
        assert not oracle.bound_devices(image)
    assert armed == []


def test_a_release_that_is_killed_is_made_up_for(run_dir: Path, image: Path) -> None:
    """Whenever a release is killed, the next one releases what it left; nothing of it stays locked or claimed."""
    for number in range(8):
        made = [by_attach_kept(Loops(run_dir), image) for _ in range(6)]
        with forks() as start:
            victim = start(partial(lambda say: (say("now"), _release(run_dir, image.stem))))
            victim.hear()
            threading.Event().wait(number * 0.001)
            victim.end()
        _release(run_dir, image.stem)
        assert not any(map(is_bound, made))
