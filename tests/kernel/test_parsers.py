"""Where the kernel reads partition tables by itself: the library finds what it made, and leaves none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle, rawloop, tables
from tests.support.disks import make_disk
from tests.support.features import require_lasting_partitions, require_table_reader
from tests.support.kernels import PinnedKernel
from tests.support.media import by_losetup, is_bound, new_hash, new_id, new_image
from tests.support.rig import mounted, private_number

if TYPE_CHECKING:
    from pathlib import Path

PARTSCAN = rawloop.Status(flags=rawloop.Flag.PARTSCAN)
LABELS = ("dos", "gpt")


@pytest.fixture(autouse=True)
def _parsers() -> None:
    require_table_reader()


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture(params=LABELS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A disk with three partitions of an ext4 each."""
    return make_disk(tmp_path / f"{new_hash()}.img", partitions=3, label=request.param)


def test_the_kernel_alone_makes_the_partitions(disk: Path) -> None:
    """LOOP_CONFIGURE with PARTSCAN and nothing else: they are there when it returns, and gone after the detach."""
    with rawloop.attach(disk, status=PARTSCAN) as one:
        assert rawloop.partitions(one.number) == [1, 2, 3]
    oracle.wait_until(lambda: rawloop.partitions(one.number) == [], "the partitions are dropped")  # F61


def test_the_library_shows_what_the_kernel_made(loops: Loops, disk: Path) -> None:
    """Each partition once, with the places of the table, by the kernel's own node; partx has nothing to add."""
    expected = {number: place[:2] for number, place in tables.by_sfdisk(disk).items()}
    with loops.attached(disk) as device:
        assert rawloop.partitions(device.number) == [1, 2, 3]
        parts = device.partitions
        assert {one.number: (one.start_bytes, one.size_bytes) for one in parts} == expected
        assert [one.status for one in parts] == ["ok"] * 3
        assert [str(one) for one in parts] == [f"{device}p{number}" for number in (1, 2, 3)]
    assert oracle.partition_nodes(str(device)) == []


def test_a_kept_device_takes_them_along(loops: Loops, disk: Path) -> None:
    """A release leaves no partition on the number, whether somebody had looked at them or not."""
    for looks in (False, True):
        device = loops.attach_kept(disk)
        if looks:
            assert len(device.partitions) == 3
        loops.release(device)
        assert (is_bound(device), oracle.partition_nodes(str(device))) == (False, [])


def test_a_foreign_device_takes_them_along(loops: Loops, disk: Path) -> None:
    """A device of losetup without PARTSCAN, to which partx added partitions, leaves none behind."""
    device = by_losetup(disk, "-r")
    oracle.run("partx", "--update", device)
    assert len(oracle.partition_nodes(device)) == 3
    loops.release_all(disk)
    assert (is_bound(device), oracle.partition_nodes(device)) == (False, [])


def test_leftovers_of_another_image_are_purged(disk: Path, tmp_path: Path) -> None:
    """Partitions that a device without PARTSCAN left on its number do not show the next image."""
    require_lasting_partitions()
    with private_number() as number:
        node = rawloop.node(number)
        oracle.run("losetup", "-r", node, disk)
        oracle.run("partx", "--update", node)
        oracle.losetup_detach(str(node))
        oracle.wait_until(lambda: not rawloop.is_bound(number), "losetup detaches it")
        assert rawloop.partitions(number) == [1, 2, 3]
        with Loops(tmp_path / "run", PinnedKernel({number: node})).attached(new_image(tmp_path)) as device:
            assert (device.number, device.partitions) == (number, ())
        assert rawloop.partitions(number) == []


def test_a_mounted_partition_keeps_its_device(loops: Loops, disk: Path, tmp_path: Path) -> None:
    """The disk's attachment is refused a release while one is mounted, and `unmount=True` unmounts it."""
    device = loops.attach_kept(disk)
    with mounted(f"{device}p2", tmp_path / "mnt", "-o", "ro,noload") as point:
        assert (point / "number").read_text() == "2"
        assert [(one.kind, one.device) for one in loops.holders(device)] == [("mount", f"{device}p2")]
        loops.release_all(disk.stem, unmount=True)
        assert not point.is_mount()
    assert (is_bound(device), oracle.partition_nodes(str(device))) == (False, [])


@pytest.mark.parametrize("label", LABELS)
def test_writing_a_table_to_a_writable_device(loops: Loops, tmp_path: Path, label: str) -> None:
    """What sfdisk writes to an attached device is what .partitions shows after it, and gone with the device."""
    image = tables.partitioned(tmp_path / f"{new_id()}.img", 8 * 2**20, "label: dos", "start=2048, size=2048")
    with loops.attached(image, writable=True) as device:
        assert [one.number for one in device.partitions] == [1]
        tables.sfdisk(device.path, f"label: {label}", "start=4096, size=2048", "start=8192, size=2048")
        oracle.run("partx", "--update", device)
        assert [one.start_bytes // 512 for one in device.partitions] == [4096, 8192]
    assert oracle.partition_nodes(str(device)) == []
