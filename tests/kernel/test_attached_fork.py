"""A forked child neither keeps its parent's device bound nor detaches it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel.descriptors import open_numbers
from tests.support import oracle
from tests.support.forked import elsewhere, forks
from tests.support.media import is_bound, new_image
from tests.support.storms import forked_while

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import Loops

FORKS = 100

#: A child that leaves the block as Python ends, with everything that runs then.
_CHILD_THAT_EXITS = """
import os, sys
from ntt_loops import Loops
with Loops(sys.argv[1]).attached(sys.argv[2]) as device:
    if os.fork() == 0:
        sys.exit("the child")
    _, status = os.wait()
    print(os.waitstatus_to_exitcode(status), os.path.exists(f"/sys/block/loop{device.number}/loop/backing_file"))
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    return new_image(tmp_path)


def _stay(say: Callable[[object], None]) -> None:
    say(open_numbers())
    signal.pause()


def test_a_child_that_lives_on_does_not_keep_the_device(loops: Loops, image: Path) -> None:
    """The device goes at the parent's exit though a child forked in the block still runs."""
    with forks() as start:
        with loops.attached(image, timeout=60):
            child = start(_stay)
            assert child.hear() == []
        assert not oracle.bound_devices(image)


def test_a_child_that_ends_at_once_does_not_detach_it(loops: Loops, image: Path) -> None:
    """os._exit() of a child leaves the parent's device as it is."""
    with loops.attached(image) as device:
        elsewhere(lambda: None)
        assert oracle.bound_devices(image) == [str(device)]


def test_a_child_that_ends_as_python_does_not_detach_it(tmp_path: Path, image: Path) -> None:
    """SystemExit of a child, through the with block and all that runs at the end, leaves the parent's device."""
    command = [sys.executable, "-W", "error", "-c", _CHILD_THAT_EXITS, str(tmp_path / "run"), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("1 True\n", "the child\n", 0)
    assert not oracle.bound_devices(image)


def test_a_child_that_leaves_the_block_does_not_detach_it(loops: Loops, image: Path) -> None:
    """close() and the end of the block do nothing in a child."""
    attachment = loops.attached(image)

    def leave() -> None:
        attachment.close()
        attachment.__exit__(None, None, None)

    with attachment as device:
        elsewhere(leave)
        assert oracle.bound_devices(image) == [str(device)]
        assert attachment.device == device
    assert not oracle.bound_devices(image)


def test_a_child_can_attach_and_release_for_itself(loops: Loops, image: Path) -> None:
    """A child attaches the same image on another device and detaches that one only."""

    def attach() -> int:
        with loops.attached(image):
            return len(oracle.bound_devices(image))

    with loops.attached(image) as device:
        assert elsewhere(attach) == 2
        assert oracle.bound_devices(image) == [str(device)]


def test_a_child_may_use_the_device(loops: Loops, image: Path) -> None:
    """A child that opens the device keeps it bound, as any other user: only what it inherited is closed."""
    with loops.attached(image) as device:
        assert elsewhere(lambda: device.path.read_bytes()[:4]) == b"AAAA"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12 on: threads and fork() do not go together
def test_a_fork_in_another_thread_while_attaching(loops: Loops, image: Path) -> None:
    """A fork at any moment of another thread's cycle inherits no open descriptor, and no cycle leaves a device."""

    def cycle() -> None:
        with loops.attached(image, timeout=60):
            pass

    assert forked_while(cycle, times=FORKS) == []
    assert not oracle.bound_devices(image)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_another_thread_attaches_can_attach(loops: Loops, image: Path) -> None:
    """No lock of the parent's other threads stays locked in a child: it can attach and detach itself."""
    ended = threading.Event()

    def cycle(medium: str) -> bool:
        with loops.attached(image, medium=medium, timeout=60) as device:
            return is_bound(device)

    def attach_on() -> None:
        while not ended.is_set():
            cycle("of-the-parent")

    thread = threading.Thread(target=attach_on)
    thread.start()
    try:
        assert all(elsewhere(partial(cycle, "of-the-child")) for _ in range(FORKS // 5))
    finally:
        ended.set()
        thread.join()
    assert not oracle.bound_devices(image)
