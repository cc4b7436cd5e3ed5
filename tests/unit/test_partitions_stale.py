"""Partitions that an earlier image left on a free number are gone before it is used, or another number is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, LoopUnavailableError
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

SECTOR = 512


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel(devices=2, max_devices=2)


@pytest.fixture
def loops(tmp_path: Path, kernel: MemoryKernel) -> Loops:
    """The library on that kernel."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(64 * SECTOR))
    return path


def leave_stale(kernel: MemoryKernel, image: Path) -> int:
    """Leave a free number with a partition of an image that losetup without -P had there."""
    number = kernel.attach_foreign(image, partscan=False)
    kernel.add_partition(number, 1, SECTOR, SECTOR)
    handle = kernel.open(number)
    kernel.clear(handle)
    handle.close()
    assert [one.number for one in kernel.partitions(number)] == [1]
    assert kernel.get_free() == number
    return number


@pytest.fixture
def stale(kernel: MemoryKernel, image: Path) -> int:
    """A free number with such a partition."""
    return leave_stale(kernel, image)


def test_a_stale_partition_is_deleted_before_the_attach(
    loops: Loops, kernel: MemoryKernel, image: Path, stale: int, mocker: MockerFixture
) -> None:
    """It is gone before LOOP_CONFIGURE: at no time does it show the new image."""
    configure = kernel.configure

    def look_first(*arguments: object) -> None:
        assert kernel.partitions(stale) == []
        configure(*arguments)  # type: ignore[arg-type]

    mocker.patch.object(kernel, "configure", side_effect=look_first)
    with loops.attached(image) as device:
        assert device.number == stale
        assert device.partitions == ()


def test_one_that_is_open_makes_the_number_unfit(loops: Loops, kernel: MemoryKernel, image: Path, stale: int) -> None:
    """Another number is taken, and the stranger keeps what he has open."""
    other = kernel.open_elsewhere((stale, 1))
    with loops.attached(image) as device:
        assert device.number != stale
    assert [one.number for one in kernel.partitions(stale)] == [1]
    other.close()
    with loops.attached(image) as device:
        assert device.number == stale


def test_without_another_number_it_is_an_error(tmp_path: Path, image: Path) -> None:
    """It is never handed out; nothing stays attached."""
    kernel = MemoryKernel(devices=1, max_devices=1)
    number = leave_stale(kernel, image)
    other = kernel.open_elsewhere((number, 1))
    with pytest.raises(LoopUnavailableError):
        Loops(tmp_path / "run", kernel).attach_kept(image, timeout=0.2)
    assert not kernel.is_bound(number)
    other.close()


def test_a_number_that_was_taken_meanwhile_keeps_its_partitions(
    loops: Loops, kernel: MemoryKernel, image: Path, stale: int, mocker: MockerFixture
) -> None:
    """Between the look and the claim a stranger attached: nothing of his is deleted."""
    opened = kernel.open

    def after_a_stranger(number: int, *, writable: bool = False, exclusive: bool = False) -> object:
        if exclusive and not kernel.is_bound(stale):
            mocker.stop(patched)
            assert kernel.attach_foreign(image, partscan=False) == stale
        return opened(number, writable=writable, exclusive=exclusive)

    patched = mocker.patch.object(kernel, "open", side_effect=after_a_stranger)
    with loops.attached(image) as device:
        assert device.number != stale
    assert [one.number for one in kernel.partitions(stale)] == [1]


def test_the_common_attach_makes_one_look(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture
) -> None:
    """One look at its own number's partitions, and no claim."""
    look = mocker.spy(kernel, "partitions")
    opened = mocker.spy(kernel, "open")
    with loops.attached(image) as device:
        assert [call.args for call in look.call_args_list] == [(device.number,)]
        assert [call.kwargs.get("exclusive", False) for call in opened.call_args_list] == [False]
