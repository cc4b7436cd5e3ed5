"""What a caller is handed: a device and its partitions, as values."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import LoopDevice, Loops, Partition
from ntt_loops._kernel import linux
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

KIB = 1024


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def loops(tmp_path: Path, kernel: MemoryKernel) -> Loops:
    """The library on that kernel."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a tail."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(64 * KIB + 100))
    return path


@pytest.fixture
def device(loops: Loops, kernel: MemoryKernel, image: Path) -> LoopDevice:
    """A device with two partitions, of which the higher one was found first."""
    made = loops.attach_kept(image)
    kernel.add_partition(made.number, 5, 32 * KIB, 16 * KIB)
    kernel.add_partition(made.number, 1, KIB, 8 * KIB)
    return made


def test_a_device_says_what_was_attached(device: LoopDevice, kernel: MemoryKernel, image: Path) -> None:
    """Its fields are those of the attach, and the kernel agrees."""
    assert (device.path, device.number) == (Path(f"/dev/loop{device.number}"), kernel.bound_numbers()[0])
    assert (device.image, device.medium) == (image, "536a")
    assert (device.size_bytes, device.tail_bytes, device.read_only) == (64 * KIB, 100, True)
    assert device.diskseq == kernel.diskseq(device.number)
    assert kernel.size_bytes(device.number) == device.size_bytes


def test_a_device_and_a_partition_are_paths(device: LoopDevice) -> None:
    """Both stand in a command line, in an f-string and wherever a path is asked for."""
    assert os.fspath(device) == str(device) == f"{device}" == f"/dev/loop{device.number}"
    partition = device.partition(5)
    assert os.fspath(partition) == str(partition) == f"{partition}" == f"/dev/loop{device.number}p5"
    assert Path(device) == device.path
    assert Path(partition) == partition.path
    assert isinstance(device, os.PathLike)
    assert isinstance(partition, os.PathLike)


def test_partitions_are_listed_by_number_and_asked_anew(device: LoopDevice, kernel: MemoryKernel) -> None:
    """Each access is the kernel's present answer, and a partition is found by its number."""
    node = str(device)
    assert device.partitions == (
        Partition(Path(f"{node}p1"), 1, KIB, 8 * KIB),
        Partition(Path(f"{node}p5"), 5, 32 * KIB, 16 * KIB),
    )
    kernel.add_partition(device.number, 2, 16 * KIB, KIB)
    assert [one.number for one in device.partitions] == [1, 2, 5]
    assert device.partition(2).start_bytes == 16 * KIB


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_partition_that_is_not_there_is_a_lookup_error(device: LoopDevice, number: int) -> None:
    """It says which device and which number."""
    with pytest.raises(LookupError, match=rf"^{device} has no partition {number}$"):
        device.partition(number)


def test_a_device_that_is_gone_has_no_partitions(
    loops: Loops, kernel: MemoryKernel, device: LoopDevice, image: Path
) -> None:
    """What the next attachment on that number has is not shown as its own."""
    loops.release(device)
    assert device.partitions == ()
    successor = loops.attach_kept(image)
    assert successor.number == device.number
    kernel.add_partition(successor.number, 1, 0, KIB)
    assert device.partitions == ()
    assert len(successor.partitions) == 1
    with pytest.raises(LookupError):
        device.partition(1)


def test_partitions_are_shown_where_there_is_no_diskseq(tmp_path: Path, image: Path) -> None:
    """On a kernel before 5.15 the number is all there is to go by."""
    kernel = MemoryKernel(diskseq=False)
    device = Loops(tmp_path / "run", kernel).attach_kept(image)
    kernel.add_partition(device.number, 1, 0, KIB)
    assert device.diskseq is None
    assert [one.number for one in device.partitions] == [1]


def test_a_device_is_a_value(device: LoopDevice) -> None:
    """It is frozen, equal to its copies, and can be a key; another attachment of the same image is another."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        device.number = 3  # type: ignore[misc]
    assert copy.copy(device) == copy.deepcopy(device) == device
    assert {device: 1}[copy.copy(device)] == 1
    assert attrs.evolve(device, diskseq=10**9) != device
    assert attrs.evolve(device, nonce="ffffff") != device


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_a_device_survives_pickle(device: LoopDevice, protocol: int) -> None:
    """What another process gets is equal, hashes alike, and keeps what tells it from a successor."""
    again = pickle.loads(pickle.dumps(device, protocol))  # noqa: S301 - our own
    assert again == device
    assert hash(again) == hash(device)
    assert (again.nonce, again.diskseq) == (device.nonce, device.diskseq)
    assert pickle.loads(pickle.dumps(device.partitions, protocol)) == device.partitions  # noqa: S301 - our own


def test_a_device_from_another_process_asks_the_real_kernel(device: LoopDevice, mocker: MockerFixture) -> None:
    """Its partitions are those of the machine it is used on."""
    real = MemoryKernel()
    mocker.patch.object(linux, "LinuxKernel", return_value=real)
    again: LoopDevice = pickle.loads(pickle.dumps(device))  # noqa: S301 - our own
    assert again.partitions == ()
    assert len(device.partitions) == 2


def test_a_device_is_plain_data(device: LoopDevice, image: Path) -> None:
    """to_dict has every public field under its name, as JSON takes it, and nothing private."""
    plain = device.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {
        "path": str(device),
        "number": device.number,
        "diskseq": device.diskseq,
        "image": str(image),
        "medium": "536a",
        "size_bytes": 64 * KIB,
        "tail_bytes": 100,
        "read_only": True,
    }
    partition = device.partition(1)
    place = {"path": f"{device}p1", "number": 1, "start_bytes": KIB, "size_bytes": 8 * KIB}
    assert partition.to_dict() == {**place, "type": "", "status": "ok"}


def test_a_devices_repr_holds_no_kernel(device: LoopDevice) -> None:
    """What is logged or shown in a traceback is the facts."""
    assert "MemoryKernel" not in repr(device)
    assert device.nonce not in repr(device)
    assert str(device.number) in repr(device)
