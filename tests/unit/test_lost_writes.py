"""Lost writes, of which the kernel tells once: told whatever the detach comes to after that."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from ntt_loops import ImageWriteError, Loops
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel in memory."""
    return MemoryKernel()


@pytest.fixture
def loops(kernel: MemoryKernel, tmp_path: Path) -> Loops:
    """A writable device of a disk whose next flush fails."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4096))
    loops = Loops(tmp_path / "run", kernel)
    kernel.fail_flush(loops.attach_kept(image, writable=True).number)
    return loops


def fails_after_the_flush(mocker: MockerFixture, kernel: MemoryKernel, error: BaseException) -> None:
    """Let the step that comes after it raise."""
    mocker.patch.object(kernel, "lock_detach", side_effect=error)


def test_a_release_that_fails_later_tells_of_it(kernel: MemoryKernel, loops: Loops, mocker: MockerFixture) -> None:
    """The device stays, and with it the reason; the flush that comes next would find nothing wrong."""
    fails_after_the_flush(mocker, kernel, OSError(errno.EMFILE, "Too many open files"))
    with pytest.raises(ImageWriteError, match="may not be in"):
        loops.release_all("disk", timeout=0)
    mocker.stopall()
    assert len(loops.release_all("disk").released) == 1


def test_a_release_that_is_interrupted_tells_of_it(kernel: MemoryKernel, loops: Loops, mocker: MockerFixture) -> None:
    """As a note of the interruption."""
    fails_after_the_flush(mocker, kernel, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        loops.release_all("disk")
    assert "may not be in" in "".join(caught.value.__notes__)


def test_a_sweep_that_fails_later_tells_of_it(kernel: MemoryKernel, loops: Loops, mocker: MockerFixture) -> None:
    """Beside what failed."""
    fails_after_the_flush(mocker, kernel, OSError(errno.EMFILE, "Too many open files"))
    lost, failed = loops.sweep(kept_older_than=0).problems
    assert "may not be in" in lost
    assert "Too many open files" in failed


def test_a_sweep_that_is_interrupted_tells_of_it(kernel: MemoryKernel, loops: Loops, mocker: MockerFixture) -> None:
    """As a note of the interruption."""
    fails_after_the_flush(mocker, kernel, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        loops.sweep(kept_older_than=0)
    assert "may not be in" in "".join(caught.value.__notes__)
