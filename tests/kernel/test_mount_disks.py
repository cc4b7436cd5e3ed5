"""``mount_medium`` on disks with a partition table that sfdisk wrote, judged by mountinfo, losetup, the checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import DeviceBusyError, Loops, MountError
from tests.support import oracle
from tests.support.disks import ext4, make_disk, put, write_table
from tests.support.media import new_hash
from tests.support.mountings import is_clean, mount_points_below
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_several_partitions(loops: Loops, root: Path, tmp_path: Path, label: str) -> None:
    """Each at the place of its number, with its own content, from one device; and the image is as it was."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=3, label=label)
    before = oracle.sha256(disk)
    medium = loops.mount_medium(disk, root=root)
    (device,) = oracle.bound_devices(disk)
    assert medium.layout == "multi"
    assert [one.number for one in medium.partitions] == [1, 2, 3]
    for one in medium.partitions:
        assert one.mount_point == root / disk.stem / f"p{one.number}"
        assert (one.mount_point / "number").read_text() == str(one.number)
        assert one.device == f"{device}p{one.number}"
    assert sorted(oracle.mounts_of(device)) == [root / disk.stem / f"p{number}" for number in (1, 2, 3)]
    loops.unmount_medium(disk.stem, root=root)
    assert oracle.sha256(disk) == before
    assert is_clean(loops, root, disk)


def test_logical_partitions(loops: Loops, root: Path, tmp_path: Path) -> None:
    """The container is told as such, what is in it is mounted; swap is told, too."""
    disk = tmp_path / f"{new_hash()}.img"
    with disk.open("wb") as file:
        file.truncate(12 * MIB)
    write_table(disk, "dos", [(2048, 2048, "83"), (4096, 2048, "82"), (6144, 16384, "5"), (8192, 2048, "83")])
    put(disk, MIB, ext4(disk, 1))
    put(disk, 4 * MIB, ext4(disk, 4))
    swap = tmp_path / "swap"
    swap.write_bytes(bytes(MIB))
    oracle.run(require_tool("mkswap"), swap)
    put(disk, 2 * MIB, swap.read_bytes())
    medium = loops.mount_medium(disk, root=root)
    told = {one.number: (one.fstype, one.status, one.mount_point) for one in medium.partitions}
    assert told[1] == ("ext4", "ok", root / disk.stem / "p1")
    assert told[2] == ("swap", "swap", None)
    assert told[3][1:] == ("extended", None)
    assert told[5] == ("ext4", "ok", root / disk.stem / "p5")
    assert attrs.evolve(loops.mount_medium(disk, root=root), is_new=True) == medium
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_a_truncated_partition(loops: Loops, root: Path, tmp_path: Path) -> None:
    """An image that ends within its second partition: the first one is mounted, the second one never tried."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=2)
    with disk.open("r+b") as file:
        file.truncate(2 * MIB + MIB // 2)
    medium = loops.mount_medium(disk, root=root)
    assert [(one.number, one.status) for one in medium.partitions] == [(1, "ok"), (2, "truncated")]
    assert (medium.layout, mount_points_below(root)) == ("single", [root / disk.stem])
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_one_that_is_broken(loops: Loops, root: Path, tmp_path: Path) -> None:
    """A file system whose descriptors are garbage is told in mount's own words; its folder is not left."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=2)
    put(disk, MIB + 2048, b"\xff" * 4096)
    medium = loops.mount_medium(disk, root=root)
    first, second = medium.partitions
    assert (first.status, first.mount_point, second.status) == ("failed", None, "ok")
    assert first.error.startswith("mount: ")
    assert [path.name for path in (root / disk.stem).iterdir()] == ["p2"]
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


@pytest.mark.parametrize("metadata", [True, False])
def test_a_physical_volume(loops: Loops, root: Path, tmp_path: Path, *, metadata: bool) -> None:
    """LVM is told and left alone; one without metadata is told as that."""
    disk = tmp_path / f"{new_hash()}.img"
    with disk.open("wb") as file:
        file.truncate(20 * MIB)
    write_table(disk, "dos", [(2048, 2048, "83"), (4096, 32768, "8e")])
    put(disk, MIB, ext4(disk, 1))
    volume = tmp_path / "volume"
    with volume.open("wb") as file:
        file.truncate(16 * MIB)
    lvm = require_tool("lvm")
    device = oracle.losetup_attach(volume, "-P")
    oracle.run(lvm, "pvcreate", "-qy", "--devices", device, *(() if metadata else ("--metadatacopies", "0")), device)
    if metadata:
        oracle.run(lvm, "vgcreate", "-qy", "--devices", device, f"ntt{new_hash()}", device)
    oracle.losetup_detach(device)
    oracle.wait_until(lambda: not oracle.bound_devices(volume), "the volume is detached")
    put(disk, 2 * MIB, volume.read_bytes())
    with loops.mounted_medium(disk, root=root) as medium:
        first, second = medium.partitions
        assert (first.status, medium.layout) == ("ok", "single")
        assert (second.status, second.fstype) == ("lvm_detected" if metadata else "lvm_no_metadata", "LVM2_member")
    assert is_clean(loops, root, disk)


def test_a_busy_partition(loops: Loops, root: Path, tmp_path: Path) -> None:
    """One partition is in use: unmount_medium says who, the other one goes, and the next call is done with the rest."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=2)
    medium = loops.mount_medium(disk, root=root)
    with (medium.mount_point / "p1" / "number").open() as file:
        with pytest.raises(DeviceBusyError) as caught:
            loops.unmount_medium(disk.stem, root=root, timeout=3)
        assert file.name in {one.where for one in caught.value.holders if one.kind == "process"}
        assert mount_points_below(root) == [root / disk.stem / "p1"]
        assert [path.name for path in (root / disk.stem).iterdir()] == ["p1"]
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_another_partition_than_it_should_be(loops: Loops, root: Path, tmp_path: Path) -> None:
    """Mounted by hand at the place of another one: an error, and nothing changes."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=2)
    with loops.attached(disk) as device:
        place = root / disk.stem / "p2"
        place.mkdir(parents=True)
        oracle.run("mount", "-o", "ro,noload", device.partition(1), place)
        with pytest.raises(MountError, match="not as it should be"):
            loops.mount_medium(disk, root=root)
        assert mount_points_below(root) == [place]
        assert oracle.bound_devices(disk) == [str(device)]
        oracle.run("umount", place)
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_a_single_partition_by_itself(loops: Loops, tmp_path: Path) -> None:
    """``mounted`` takes a partition; one that is truncated is refused, since that would hang."""
    disk = make_disk(tmp_path / f"{new_hash()}.img", partitions=2)
    with disk.open("r+b") as file:
        file.truncate(2 * MIB + MIB // 2)
    with loops.attached(disk) as device:
        with loops.mounted(device.partition(1)) as point:
            assert (point / "number").read_text() == "1"
        with pytest.raises(MountError, match="truncated"):
            loops.mounted(device.partition(2))
