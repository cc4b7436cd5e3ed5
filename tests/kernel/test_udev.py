"""With systemd-udevd at work, which opens each device as it comes and goes: cycles leave nothing, and none fails."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._backoff import SystemClock
from tests.support import oracle, rawloop
from tests.support.disks import make_disk
from tests.support.features import require_udev
from tests.support.forked import together
from tests.support.media import new_hash, new_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

CYCLES = 40
PROCESSES = 4
#: Long enough for udev on a machine without KVM.
TIMEOUT = 120.0


@pytest.fixture(autouse=True)
def _udev() -> None:
    require_udev()


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture(params=["plain", "with partitions"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image, of which udev hears one device, or one and its partitions."""
    if request.param == "plain":
        return new_image(tmp_path)
    return make_disk(tmp_path / f"{new_hash()}.img", partitions=3)


@pytest.fixture
def pauses(mocker: MockerFixture, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Count how often the library waits to try again, into the report."""
    spy = mocker.spy(SystemClock, "sleep")
    yield
    record_property(f"pauses in {CYCLES} cycles", spy.call_count)


def _scoped(loops: Loops, image: Path) -> None:
    with loops.attached(image, timeout=TIMEOUT) as device:
        assert oracle.is_bound(str(device))


def _kept(loops: Loops, image: Path) -> None:
    loops.release(loops.attach_kept(image, timeout=TIMEOUT), timeout=TIMEOUT)


def _whole_medium(loops: Loops, image: Path) -> None:
    loops.attach_kept(image, timeout=TIMEOUT)
    assert len(loops.release_all(image.stem, timeout=TIMEOUT).released) == 1


def _writable(loops: Loops, image: Path) -> None:
    with loops.attached(image, writable=True, timeout=TIMEOUT) as device, rawloop.opened(str(device)):
        pass


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("cycle", [_scoped, _kept, _whole_medium, _writable])
def test_cycles_leave_nothing(loops: Loops, image: Path, cycle: Callable[[Loops, Path], None]) -> None:
    """When a cycle returns its device is free: no leak, no error, whatever udev does at that moment."""
    for _ in range(CYCLES):
        cycle(loops, image)
        assert oracle.bound_to_path(image) == []


def test_several_processes_at_once(image: Path, tmp_path: Path) -> None:
    """Each on a copy of the image, with udev after all of them."""
    images = [image.with_name(f"{new_hash()}.img") for _ in range(PROCESSES)]
    for copy in images:
        copy.write_bytes(image.read_bytes())
    together(*[partial(_many, tmp_path, copy) for copy in images], seconds=600)
    assert oracle.bound_below(tmp_path) == []


def _many(folder: Path, image: Path) -> None:
    loops = Loops(folder / "run")
    for _ in range(CYCLES // PROCESSES):
        _scoped(loops, image)
        _kept(loops, image)


def test_udev_is_told_of_every_change_during_the_cycles(loops: Loops, image: Path) -> None:
    """``udevadm trigger`` all the time: udev opens the node again and again while devices come and go."""
    ended = threading.Event()
    thread = threading.Thread(target=partial(_trigger, ended))
    thread.start()
    try:
        for _ in range(CYCLES):
            _kept(loops, image)
            _scoped(loops, image)
    finally:
        ended.set()
        thread.join()
    assert oracle.bound_to_path(image) == []


def _trigger(ended: threading.Event) -> None:
    while not ended.is_set():
        oracle.run("udevadm", "trigger", "--action=change", "--sysname-match=loop*", "--subsystem-match=block")
