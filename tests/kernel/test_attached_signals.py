"""Signals: what the kernel does for a process that is killed, and what a storm of Ctrl-C leaves."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle
from tests.support.forked import forks
from tests.support.images import make_image
from tests.support.media import new_hash, new_image
from tests.support.rig import mounted
from tests.support.storms import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.forked import Forked

STORM_INTERRUPTS = 100


def _hold(run_dir: Path, image: Path, say: Callable[[object], None]) -> None:
    """Attach, say so, and wait for the signal."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with Loops(run_dir).attached(image) as device:
        say(str(device))
        signal.pause()


@contextmanager
def _holder(run_dir: Path, image: Path) -> Iterator[tuple[Forked, str]]:
    """A process that has the image attached, and its device."""
    with forks() as start:
        child = start(partial(_hold, run_dir, image))
        yield child, child.hear()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_signal_that_ends_the_process_detaches(tmp_path: Path, number: signal.Signals) -> None:
    """The device of a process that a signal ends, without any handler, is gone with the process."""
    image = new_image(tmp_path)
    with _holder(tmp_path / "run", image) as (child, device):
        assert oracle.bound_devices(image) == [device]
        child.kill(number)
        assert child.wait() == -number
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")


def test_killed_while_mounted_it_goes_at_the_umount(tmp_path: Path) -> None:
    """A device whose owner was killed while it is mounted stays, and is detached by the umount, whoever makes it."""
    image = make_image(tmp_path / f"{new_hash()}.img", files={"f": b"x"})
    with _holder(tmp_path / "run", image) as (child, device):
        with mounted(device, tmp_path / "mnt", "-o", "ro,noload") as folder:
            child.end()
            assert oracle.bound_devices(image) == [device]
            assert (folder / "f").read_bytes() == b"x"
        oracle.wait_until(lambda: not oracle.bound_devices(image), "the umount detaches it")


def test_what_a_killed_process_left_on_record_is_forgotten(tmp_path: Path) -> None:
    """The record of a killed process is told as already gone by the next release, and then forgotten."""
    image, run_dir = new_image(tmp_path), tmp_path / "run"
    with _holder(run_dir, image) as (child, device):
        child.end()
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")
    report = Loops(run_dir).release_all(image.stem)
    assert [(one.device, one.image) for one in report.already_gone] == [(device, image)]
    assert report.released == ()
    assert Loops(run_dir).release_all(image.stem).already_gone == ()


def test_a_storm_of_interrupts_leaves_nothing(tmp_path: Path) -> None:
    """SIGINT again and again during attaches and exits leaves no descriptor and no device."""
    image = new_image(tmp_path)
    assert interrupted(tmp_path / "run", image, times=STORM_INTERRUPTS) == 0
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches what was let go")
