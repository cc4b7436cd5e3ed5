"""A release waits for who is about to let go, until its one deadline, and for nobody else."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._backoff import Deadline
from tests.support import oracle, rawloop
from tests.support.features import require_rundown
from tests.support.forked import elsewhere, forks
from tests.support.holding import reader, reader_for
from tests.support.images import make_image
from tests.support.kernels import PinnedKernel
from tests.support.media import autoclear, is_bound, new_hash, new_image
from tests.support.rig import hidden_number, mounted_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import LoopDevice

#: How long a holder here stays, and a deadline that it cannot reach.
STAYS_SECONDS = 0.4
TIMEOUT = 30.0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    return new_image(tmp_path)


@pytest.mark.parametrize("writable", [False, True])
def test_a_reader_that_goes(loops: Loops, image: Path, *, writable: bool) -> None:
    """A device that a process reads is released after that process has ended."""
    device = loops.attach_kept(image, writable=writable)
    with reader_for(device, STAYS_SECONDS):
        loops.release(device, timeout=TIMEOUT)
        assert not is_bound(device)


def test_release_all_waits_for_all_of_them(loops: Loops, image: Path) -> None:
    """Devices whose users go one after the other are all in the one report."""
    devices = [loops.attach_kept(image) for _ in range(4)]
    with ExitStack() as stack:
        for index, device in enumerate(devices):
            stack.enter_context(reader_for(device, STAYS_SECONDS * index / 4))
        report = loops.release_all(image.stem, timeout=TIMEOUT)
    assert sorted(one.device for one in report.released) == sorted(map(str, devices))


def test_a_mount_in_another_namespace_that_goes(loops: Loops, tmp_path: Path) -> None:
    """A device that is mounted in another mount namespace is released when that namespace has gone."""
    image = make_image(tmp_path / f"{new_hash()}.img")
    device = loops.attach_kept(image)
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(device.path, tmp_path / "mnt") as process, forks() as start:
        child = start(lambda _: loops.release(device, timeout=TIMEOUT))
        assert not child.has_said()
        process.communicate("\n")
        child.hear()
    assert not is_bound(device)


def test_a_with_block_that_ends(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A device of another process's with block is waited for; it is that process that detaches it."""

    def hold(say: Callable[[object], None]) -> None:
        with loops.attached(image) as device:
            say(str(device))
            while not (tmp_path / "enough").exists():
                pass

    with forks() as start:
        holder = start(hold)
        device = holder.hear()
        releaser = start(lambda _: loops.release_all(image.stem, timeout=TIMEOUT).to_dict())
        assert oracle.is_bound(device)
        (tmp_path / "enough").touch()
        assert releaser.hear()["released"] == []
        holder.hear()
    assert not oracle.bound_devices(image)


def test_the_block_of_this_process_is_named(loops: Loops, image: Path) -> None:
    """A release within one's own with block says whose it is, and takes nothing away from it."""
    with loops.attached(image) as device:
        with pytest.raises(DeviceBusyError, match="'with' block has not ended") as caught:
            loops.release_all(image.stem, timeout=0.1)
        assert [one.kind for one in caught.value.holders] == ["owner"]
        with pytest.raises(DeviceBusyError):
            loops.release(device, timeout=0.1)
        assert oracle.bound_devices(image) == [str(device)]
        assert autoclear(device) == "1"


def _is_attached(device: LoopDevice) -> bool:
    return rawloop.is_bound(device.number)


def test_without_a_timeout_each_is_tried_once(tmp_path: Path, image: Path) -> None:
    """With timeout=0 what is idle is released and what is busy is told."""
    with ExitStack() as stack:
        nodes = [tmp_path / f"node{number}" for number in range(3)]  # hidden: no look of others makes one busy
        kernel = PinnedKernel({stack.enter_context(hidden_number(node)): node for node in nodes})
        loops = Loops(tmp_path / "run", kernel)
        devices = [loops.attach_kept(image) for _ in nodes]
        with reader(devices[1]):
            with pytest.raises(DeviceBusyError) as caught:
                loops.release_all(image.stem, timeout=0)
            assert len(caught.value.report.released) == 2
            assert list(map(_is_attached, devices)) == [False, True, False]
        loops.release_all(image.stem, timeout=0)
        assert not any(map(_is_attached, devices))


def test_a_detach_of_others_under_way_is_waited_for(loops: Loops, image: Path) -> None:
    """While another process's detach is under way the release waits; it is no success before sysfs says so."""
    require_rundown()
    with rawloop.attach(image) as loop:
        rawloop.clear_as_only_opener(loop.held)
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image, timeout=0.1)
        assert [one.kind for one in caught.value.holders] == ["detaching"]
        loop.close()
        assert loops.release_all(image).released == ()


def test_a_locked_ledger_keeps_no_device(loops: Loops, image: Path) -> None:
    """A release that another process keeps off the ledger releases what it finds, and says so by LedgerError."""
    device = loops.attach_kept(image)
    ledger = loops._world().ledger
    with forks() as start:
        holder = start(partial(_lock_ledger, loops, image.stem))
        assert holder.hear() == "locked"
        found = elsewhere(lambda: _outcome(lambda: loops.release_all(image.stem, timeout=0.2)))
        assert found == "LedgerError"
        assert not is_bound(device)
        holder.end()
    assert loops.release_all(image.stem).released == ()
    assert list(ledger.run_dir.iterdir()) == []


def _lock_ledger(loops: Loops, medium: str, say: Callable[[object], None]) -> None:

    with loops._world().ledger.locked(medium, Deadline.after(10)):
        say("locked")
        signal.pause()


def _outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except OSError as error:
        return type(error).__name__
    return "nothing raised"
