"""What .partitions makes of the table and of what the kernel has, on kernels that read tables and on others."""

from __future__ import annotations

import errno
import pickle
import re
from typing import TYPE_CHECKING

import pytest

from ntt_loops import KernelError, LoopPermissionError, Loops
from ntt_loops._kernel import StuckError, TableEntry
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops import LoopDevice

SECTOR = 512
SECTORS = 1000


@pytest.fixture(params=[False, True], ids=["cloud", "distribution"])
def kernel(request: pytest.FixtureRequest) -> MemoryKernel:
    """A kernel that does not read tables by itself, and one that does."""
    return MemoryKernel(reads_tables=request.param)


@pytest.fixture
def loops(tmp_path: Path, kernel: MemoryKernel) -> Loops:
    """The library on that kernel."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of 1000 sectors."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(SECTORS * SECTOR))
    return path


def entry(number: int, start: int, length: int, kind: str = "0x83") -> TableEntry:
    """An entry of an MBR, in sectors."""
    return TableEntry(number, start * SECTOR, length * SECTOR, kind, "dos")


def seen(device: LoopDevice) -> list[tuple[int, int, int, str, str]]:
    """Return number, start and length in sectors, type and status."""
    return [
        (one.number, one.start_bytes // SECTOR, one.size_bytes // SECTOR, one.type, one.status)
        for one in device.partitions
    ]


def test_what_the_table_has_is_there(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """Whoever read it, the partitions have nodes, and none is left at the end of the block."""
    kernel.put_table(image, entry(1, 8, 100), entry(2, 108, 100, "0x7"))
    with loops.attached(image) as device:
        assert seen(device) == [(1, 8, 100, "0x83", "ok"), (2, 108, 100, "0x7", "ok")]
        assert [one.number for one in kernel.partitions(device.number)] == [1, 2]
    assert kernel.partitions(device.number) == []


def test_an_extended_partition_has_the_size_of_the_table(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """Though the kernel shows two sectors of it, and the logical ones in it are added."""
    kernel.put_table(image, entry(1, 8, 500, "0x5"), entry(5, 16, 100))
    with loops.attached(image) as device:
        assert seen(device) == [(1, 8, 500, "0x5", "ok"), (5, 16, 100, "0x83", "ok")]


def test_what_reaches_past_the_end_is_truncated(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """Whether the kernel cut it or has none of it; those that fit are there."""
    kernel.put_table(image, entry(1, 8, 8), entry(2, 900, 101), entry(3, 2000, 8), entry(4, 900, 100))
    with loops.attached(image) as device:
        assert [(one.number, one.status) for one in device.partitions][:3] == [
            (1, "ok"),
            (2, "truncated"),
            (3, "truncated"),
        ]
        assert device.partition(4).status == "ok"
        assert device.partition(2).size_bytes == 101 * SECTOR


def test_a_truncated_one_is_never_added(tmp_path: Path, image: Path, mocker: MockerFixture) -> None:
    """Old kernels would take it, so it is not even asked for: the numbers around it are."""
    kernel = MemoryKernel()
    kernel.put_table(image, entry(1, 8, 8), entry(2, 16, 8), entry(3, 2000, 8), entry(5, 24, 8), entry(6, 999, 2))
    add = mocker.spy(kernel, "add_partitions")
    with Loops(tmp_path / "run", kernel).attached(image) as device:
        assert len(device.partitions) == 5
        assert [call.args[1:] for call in add.call_args_list] == [(1, 2), (5, 5)]
        add.reset_mock()
        assert len(device.partitions) == 5
        assert add.call_args_list == []


def test_what_overlaps_is_absent(tmp_path: Path, image: Path) -> None:
    """BLKPG refuses the second one; the third is there."""
    kernel = MemoryKernel()
    kernel.put_table(image, entry(1, 8, 100), entry(2, 50, 100), entry(3, 200, 8))
    with Loops(tmp_path / "run", kernel).attached(image) as device:
        assert [one.status for one in device.partitions] == ["ok", "absent", "ok"]
        assert device.partition(2).type == "0x83"


def test_what_the_kernel_has_otherwise_is_shown_as_it_is(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """A partition that the table lacks, or has elsewhere, has no type: its node is what would be read."""
    device = loops.attach_kept(image)
    kernel.add_partition(device.number, 1, 8 * SECTOR, 8 * SECTOR)
    kernel.add_partition(device.number, 7, 16 * SECTOR, 8 * SECTOR)
    kernel.put_table(image, entry(1, 500, 8))
    assert seen(device) == [(1, 8, 8, "", "ok"), (7, 16, 8, "", "ok")]
    loops.release(device)


def test_a_broken_table_is_no_table(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """Nothing is listed, and nothing is added."""
    kernel.put_table(image)
    with loops.attached(image) as device:
        assert device.partitions == ()


def test_the_table_counts_from_the_offset(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """What begins at offset_bytes is the device's own table."""
    kernel.put_table(image, entry(1, 8, 8))
    kernel.put_table(image, entry(1, 16, 8), offset_bytes=16 * SECTOR)
    with loops.attached(image, offset_bytes=16 * SECTOR) as device:
        assert seen(device) == [(1, 16, 8, "0x83", "ok")]


def test_neither_attach_nor_exit_reads_the_table(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture
) -> None:
    """Both are fast; only .partitions runs a program."""
    read = mocker.spy(kernel, "partition_table")
    with loops.attached(image):
        pass
    loops.release(loops.attach_kept(image))
    assert read.call_args_list == []


def test_the_successor_on_the_number_is_not_touched(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """An old LoopDevice lists nothing, and adds nothing to what a stranger attached since."""
    kernel.put_table(image, entry(1, 8, 8))
    device = loops.attach_kept(image)
    loops.release(device)
    assert kernel.attach_foreign(image) == device.number
    before = kernel.partitions(device.number)
    assert device.partitions == ()
    assert kernel.partitions(device.number) == before


def test_a_number_that_changes_hands_at_the_open_is_not_touched(
    tmp_path: Path, image: Path, mocker: MockerFixture
) -> None:
    """What the descriptor says counts, not what sysfs said before it was opened."""
    kernel = MemoryKernel()
    kernel.put_table(image, entry(1, 8, 8))
    device = Loops(tmp_path / "run", kernel).attach_kept(image)
    mocker.patch.object(kernel, "get_diskseq", return_value=(device.diskseq or 0) + 1)
    add = mocker.spy(kernel, "add_partitions")
    assert device.partitions == ()
    assert add.call_args_list == []
    mocker.stopall()
    Loops(tmp_path / "run", kernel).release(device)


@pytest.mark.parametrize("number", [errno.ENXIO, errno.ENOENT])
def test_a_detach_that_is_faster_leaves_nothing_to_list(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture, number: int
) -> None:
    """The open fails, and the attachment is gone: that is no error."""
    device = loops.attach_kept(image)

    def too_late(*_: object, **__: object) -> object:
        mocker.stop(patched)
        loops.release(device)
        raise OSError(number, "gone")

    patched = mocker.patch.object(kernel, "open", side_effect=too_late)
    assert device.partitions == ()
    assert not kernel.is_bound(device.number)


def test_without_a_diskseq_the_tag_tells(tmp_path: Path, image: Path) -> None:
    """Before Linux 5.15 a successor on the number has another tag, or none."""
    kernel = MemoryKernel(diskseq=False)
    kernel.put_table(image, entry(1, 8, 8))
    loops = Loops(tmp_path / "run", kernel)
    device = loops.attach_kept(image)
    assert [one.number for one in device.partitions] == [1]
    loops.release(device)
    successor = loops.attach_kept(image)
    assert successor.number == device.number
    assert seen(device) == []
    loops.release(successor)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "partx(8) is not installed (package util-linux)"),
        StuckError("partx did not end within 10.0 s"),
    ],
)
def test_a_table_that_cannot_be_asked_for_is_an_error(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture, error: OSError
) -> None:
    """It says why, and holds no descriptor: the device goes at the exit."""
    with loops.attached(image) as device:
        mocker.patch.object(kernel, "partition_table", side_effect=error)
        with pytest.raises(KernelError, match=re.escape(error.strerror or str(error))):
            _ = device.partitions
    assert kernel.bound_numbers() == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_without_the_right_to_open_it_is_a_permission_error(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture, number: int
) -> None:
    """It names the device and the medium."""
    with loops.attached(image) as device:
        mocker.patch.object(kernel, "open", side_effect=OSError(number, "no"))
        with pytest.raises(LoopPermissionError, match=f"{device} \\(medium 536a\\)") as caught:
            device.partition(1)
    assert pickle.loads(pickle.dumps(caught.value)).errno == number  # noqa: S301 - our own
