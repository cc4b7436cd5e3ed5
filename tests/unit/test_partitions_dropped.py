"""A detach is over once the partitions are gone, too: the kernel drops them after sysfs shows the device as free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops._kernel import PartitionNode

SECTOR = 512
#: So many looks find partitions that the kernel is about to drop.
LOOKS = 3


class LateKernel(MemoryKernel):
    """A kernel that is caught in the moment between the unbinding and the drop of the partitions."""

    def __init__(self) -> None:
        super().__init__(devices=1, max_devices=1)
        self._last: list[PartitionNode] = []
        self.left = LOOKS

    def partitions(self, number: int) -> list[PartitionNode]:
        """Return what the attachment had, some times more."""
        if self.is_bound(number):
            self._last = super().partitions(number)
            return self._last
        if not self._last or self.left == 0:
            return super().partitions(number)
        self.left -= 1
        return self._last


@pytest.fixture
def kernel() -> LateKernel:
    """That kernel."""
    return LateKernel()


@pytest.fixture
def loops(tmp_path: Path, kernel: LateKernel) -> Loops:
    """The library on it."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(64 * SECTOR))
    return path


def _with_partition(kernel: LateKernel, number: int) -> None:
    kernel.add_partition(number, 1, SECTOR, SECTOR)
    assert len(kernel.partitions(number)) == 1


def _scoped(loops: Loops, kernel: LateKernel, image: Path) -> None:
    with loops.attached(image) as device:
        _with_partition(kernel, device.number)


def _writable(loops: Loops, kernel: LateKernel, image: Path) -> None:
    device = loops.attach_kept(image, writable=True)
    _with_partition(kernel, device.number)
    loops.release(device)


def _whole_medium(loops: Loops, kernel: LateKernel, image: Path) -> None:
    _with_partition(kernel, loops.attach_kept(image).number)
    assert len(loops.release_all("536a").released) == 1


@pytest.mark.parametrize("cycle", [_scoped, _writable, _whole_medium])
def test_it_is_over_once_the_partitions_are_dropped(
    loops: Loops, kernel: LateKernel, image: Path, cycle: Callable[[Loops, LateKernel, Path], None]
) -> None:
    """Their nodes are never there after it: one that is opened in that moment would show the next image."""
    cycle(loops, kernel, image)
    assert kernel.left == 0


def test_the_number_of_the_next_image_is_not_waited_for(
    loops: Loops, kernel: LateKernel, image: Path, mocker: MockerFixture
) -> None:
    """Bound again, the number has another image's partitions: the old ones went before that."""
    with loops.attached(image, timeout=60) as device:
        _with_partition(kernel, device.number)
        partitions = kernel.partitions(device.number)
        bound = iter([False, True])
        mocker.patch.object(kernel, "is_bound", side_effect=lambda _: next(bound))
        mocker.patch.object(kernel, "partitions", return_value=partitions)
    assert next(bound, None) is None


def test_what_stays_is_deleted(loops: Loops, kernel: LateKernel, image: Path, mocker: MockerFixture) -> None:
    """Partitions that the kernel does not drop are deleted through a claim, on a device that is bound to nothing."""
    kernel.left = 1_000_000
    delete = mocker.spy(kernel, "delete_partition")
    with loops.attached(image, timeout=0.05) as device:
        _with_partition(kernel, device.number)
    assert [call.args[1] for call in delete.call_args_list] == [1]
    kernel.open(device.number, exclusive=True).close()  # the claim was given up
