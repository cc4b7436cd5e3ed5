"""Which layout a medium gets, what is mounted of it and what is not: on the kernel in memory, which has every type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import Loops, MountedMedium, MountError, MountTimeoutError
from ntt_loops._kernel.values import TableEntry
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
SIZE_BYTES = 8 * MIB


class Disk:
    """An image of 8 MiB, and what blkid and partx say of it; partition N begins at N MiB, and has one MiB."""

    def __init__(self, folder: Path) -> None:
        self.kernel = MemoryKernel()
        self.loops = Loops(folder / "run", self.kernel)
        self.image = folder / "disk-1.img"
        self.image.write_bytes(bytes(SIZE_BYTES))
        self.root = folder / "root"

    def table(self, *parts: tuple[int, str, str], scheme: str = "dos", usage: str = "filesystem") -> None:
        """Give it a table: number, type in the table, what blkid finds in it ("" nothing)."""
        entries = [TableEntry(number, number * MIB, MIB, kind, scheme) for number, kind, _ in parts]
        self.kernel.put_table(self.image, *entries)
        for number, _, found in parts:
            if found:
                self.kernel.format(self.image, found, offset_bytes=number * MIB, usage=usage)

    def mount(self) -> MountedMedium:
        """Mount it, find it again the same, and unmount it without a trace."""
        medium = self.loops.mount_medium(self.image, root=self.root)
        mounts = {one.mount_point for one in self.kernel.mounts()}
        assert mounts == {bytes(one.mount_point) for one in medium.partitions if one.mount_point is not None}
        again = self.loops.mount_medium(self.image, root=self.root)
        assert attrs.evolve(again, is_new=True) == medium
        assert len(self.kernel.bound_numbers()) == 1
        self.loops.unmount_medium("disk-1", root=self.root)
        assert (self.kernel.bound_numbers(), self.kernel.mounts(), list(self.root.iterdir())) == ([], [], [])
        return medium

    def refused(self) -> MountError:
        """Try to mount it; nothing is left, not even the root."""
        with pytest.raises(MountError) as caught:
            self.loops.mount_medium(self.image, root=self.root, timeout=5)
        assert (self.kernel.bound_numbers(), self.kernel.mounts(), self.root.exists()) == ([], [], False)
        return caught.value


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A disk."""
    return Disk(tmp_path)


def told(medium: MountedMedium | MountError) -> list[tuple[int | None, str, str]]:
    """Return number, file system and status of each."""
    return [(one.number, one.fstype, one.status) for one in medium.partitions]


def test_two_file_systems(disk: Disk) -> None:
    """Several are mounted each in a folder of its number."""
    disk.table((1, "0x83", "ext4"), (5, "0xc", "vfat"))
    medium = disk.mount()
    assert (medium.layout, told(medium)) == ("multi", [(1, "ext4", "ok"), (5, "vfat", "ok")])
    assert [one.mount_point for one in medium.partitions] == [disk.root / "disk-1" / "p1", disk.root / "disk-1" / "p5"]
    assert [one.type for one in medium.partitions] == ["0x83", "0xc"]
    assert [(one.start_bytes, one.size_bytes) for one in medium.partitions] == [(MIB, MIB), (5 * MIB, MIB)]


def test_one_file_system_of_several_partitions(disk: Disk) -> None:
    """One that can be mounted is at the medium's own folder, whatever else there is."""
    disk.table((1, "0x83", "ext4"), (2, "0x82", ""), (3, "0x5", ""), scheme="dos")
    disk.kernel.format(disk.image, "swap", offset_bytes=2 * MIB, usage="other")
    medium = disk.mount()
    assert medium.layout == "single"
    assert told(medium) == [(1, "ext4", "ok"), (2, "swap", "swap"), (3, "", "extended")]
    assert medium.partitions[0].mount_point == disk.root / "disk-1"


@pytest.mark.parametrize("kind", ["0x5", "0xf", "0x85"])
def test_extended(disk: Disk, kind: str) -> None:
    """A container of logical partitions is never mounted, whatever seems to be in it."""
    disk.table((1, "0x83", "ext4"), (2, kind, "vfat"))
    assert told(disk.mount()) == [(1, "ext4", "ok"), (2, "", "extended")]


@pytest.mark.parametrize(
    ("found", "usage", "status"),
    [
        ("LVM2_member", "raid", "lvm_no_metadata"),
        ("linux_raid_member", "raid", "raid_member"),
        ("isw_raid_member", "raid", "raid_member"),
        ("swap", "other", "swap"),
        ("swsuspend", "other", "swap"),
        ("crypto_LUKS", "crypto", "failed"),
        ("", "", "failed"),
    ],
)
def test_what_is_not_mounted(disk: Disk, found: str, usage: str, status: str) -> None:
    """Each kind has its status; alone on a disk it is an error that says so, beside a file system it is told."""
    disk.table((1, "0x83", found), usage=usage)
    error = disk.refused()
    assert told(error) == [(1, found, status)]
    assert error.partitions[0].error in str(error)
    disk.table((1, "0x83", found), usage=usage)
    disk.kernel.put_table(disk.image, *(TableEntry(number, number * MIB, MIB, "0x83", "dos") for number in (1, 2)))
    disk.kernel.format(disk.image, "ext4", offset_bytes=2 * MIB)
    assert told(disk.mount()) == [(1, found, status), (2, "ext4", "ok")]


def test_truncated(disk: Disk) -> None:
    """A partition that reaches past the end is never mounted; those that fit are."""
    disk.table((1, "0x83", "ext4"), (8, "0x83", "ext4"))
    medium = disk.mount()
    assert (medium.layout, told(medium)) == ("single", [(1, "ext4", "ok"), (8, "", "truncated")])
    assert "past the end" in medium.partitions[1].error


def test_one_of_two_fails(disk: Disk) -> None:
    """What cannot be mounted is told in mount's own words, and the layout is as if it could."""
    disk.table((1, "0x83", "ext4"), (2, "0x83", "ext4"))
    disk.kernel.format(disk.image, "ext4", offset_bytes=2 * MIB, refusal="mount: wrong fs type, bad superblock")
    medium = disk.mount()
    assert (medium.layout, told(medium)) == ("multi", [(1, "ext4", "ok"), (2, "ext4", "failed")])
    assert medium.partitions[1].error == "mount: wrong fs type, bad superblock"
    assert medium.partitions[1].mount_point is None


def test_all_fail(disk: Disk) -> None:
    """Nothing could be mounted: an error with the text of each."""
    disk.table((1, "0x83", ""), (2, "0x83", ""))
    for number in (1, 2):
        disk.kernel.format(disk.image, "ext4", offset_bytes=number * MIB, refusal=f"mount: not {number}")
    error = disk.refused()
    assert not isinstance(error, MountTimeoutError)
    assert [one.error for one in error.partitions] == ["mount: not 1", "mount: not 2"]
    assert all(one.error in str(error) for one in error.partitions)


@pytest.mark.parametrize("hang", ["unmounted", "mounted"])
def test_one_of_two_hangs(disk: Disk, hang: Callable[..., object]) -> None:
    """One that hangs is killed, and if it had mounted all the same that is taken back; the other one is mounted."""
    disk.table((1, "0x83", "ext4"), (2, "0x83", "ext4"))
    disk.kernel.format(disk.image, "ext4", offset_bytes=MIB, hang=hang)  # type: ignore[arg-type]
    medium = disk.mount()
    assert told(medium) == [(1, "ext4", "failed"), (2, "ext4", "ok")]
    assert "killed" in medium.partitions[0].error


def test_all_hang(disk: Disk) -> None:
    """It is a timeout then."""
    disk.kernel.format(disk.image, "ext4", hang="mounted")
    assert isinstance(disk.refused(), MountTimeoutError)


@pytest.mark.parametrize("found", ["iso9660", "udf"])
def test_a_disc_with_an_apple_map(disk: Disk, found: str) -> None:
    """The whole disk is mounted, not what its map shows to other machines."""
    disk.table((1, "Apple_partition_map", ""), (2, "Apple_HFS", "hfs"), scheme="mac")
    disk.kernel.format(disk.image, found, table="mac")
    medium = disk.mount()
    assert (medium.layout, medium.hybrid, told(medium)) == ("single", True, [(None, found, "ok")])
    assert (medium.partitions[0].device, medium.partitions[0].size_bytes) == (str(medium.devices[0]), SIZE_BYTES)


@pytest.mark.parametrize("scheme", ["dos", "gpt"])
@pytest.mark.parametrize("start_bytes", [0, 32768])
def test_an_isohybrid(disk: Disk, scheme: str, start_bytes: int) -> None:
    """A disc image for USB sticks: its first partition begins at byte 0, or shows the same file system."""
    esp = TableEntry(2, 4 * MIB, MIB, "0xef", scheme)
    disk.kernel.put_table(disk.image, TableEntry(1, start_bytes, 2 * MIB, "0x17", scheme), esp)
    disk.kernel.format(disk.image, "iso9660", table=scheme)
    disk.kernel.format(disk.image, "vfat", offset_bytes=4 * MIB)
    if start_bytes:
        disk.kernel.format(disk.image, "iso9660", offset_bytes=start_bytes)
    medium = disk.mount()
    assert (medium.hybrid, told(medium)) == (True, [(None, "iso9660", "ok")])


def test_a_disk_on_which_a_disc_once_was(disk: Disk) -> None:
    """What is left of a disc image before the first partition does not hide the partitions."""
    disk.table((1, "0x83", "ext4"), (2, "0x83", "xfs"))
    disk.kernel.format(disk.image, "iso9660", table="dos")
    medium = disk.mount()
    assert (medium.hybrid, told(medium)) == (False, [(1, "ext4", "ok"), (2, "xfs", "ok")])


def test_a_superfloppy_that_seems_to_have_a_table(disk: Disk) -> None:
    """Nothing of the table can be mounted, the whole disk can."""
    disk.table((1, "0x6d", ""), (3, "0x20", ""))
    disk.kernel.format(disk.image, "vfat")
    medium = disk.mount()
    assert (medium.layout, medium.hybrid, told(medium)) == ("single", True, [(None, "vfat", "ok")])


def test_a_table_with_nothing_in_it(disk: Disk) -> None:
    """Neither its partitions nor the whole: what was found is told."""
    disk.table((1, "0x83", ""), (2, "0x83", ""))
    assert told(disk.refused()) == [(1, "", "failed"), (2, "", "failed")]


@pytest.mark.parametrize("found", ["LVM2_member", "linux_raid_member"])
def test_a_whole_disk_that_is_not_mounted(disk: Disk, found: str) -> None:
    """A member of something, without a table."""
    disk.kernel.format(disk.image, found, usage="raid")
    (part,) = told(disk.refused())
    assert part[0] is None
    assert part[2] in {"lvm_no_metadata", "raid_member"}


def test_a_zip_disk(disk: Disk) -> None:
    """Nothing at byte 0 and no table: a file system at byte 16384 is looked for."""
    disk.kernel.format(disk.image, "vfat", offset_bytes=16384)
    medium = disk.mount()
    assert (medium.layout, medium.offset_bytes, told(medium)) == ("single", 16384, [(None, "vfat", "ok")])


@pytest.mark.parametrize(("named", "real"), [("udf", "iso9660"), ("iso9660", "udf"), ("udf", "udf")])
def test_udf_and_iso9660_stand_in_for_each_other(disk: Disk, named: str, real: str) -> None:
    """What blkid named cannot be mounted as that: the other one is tried."""

    def probe(*_: object, **__: object) -> object:
        return attrs.evolve(real_probe(*_, **__), type=named)  # type: ignore[arg-type]

    disk.kernel.format(disk.image, real)
    real_probe = disk.kernel.probe
    disk.kernel.probe = probe  # type: ignore[method-assign,assignment]
    assert told(disk.loops.mount_medium(disk.image, root=disk.root)) == [(None, real, "ok")]
    disk.loops.unmount_medium("disk-1", root=disk.root)


def test_what_blkid_does_not_know(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where blkid finds nothing, mount is asked for what has no journal only: never for ext4, XFS or btrfs."""
    asked: list[str] = []
    real = disk.kernel.mount_node

    def mount_node(node: str, point: bytes, *, fstype: str, options: str, within: float) -> None:
        asked.extend(fstype.split(","))
        real(node, point, fstype=fstype, options=options, within=within)

    monkeypatch.setattr(disk.kernel, "mount_node", mount_node)
    assert disk.refused().partitions[0].error.startswith("mount: ")
    assert {"iso9660", "udf", "vfat"} <= set(asked)
    assert not {"ext2", "ext3", "ext4", "xfs", "btrfs", "jfs", "reiserfs", "f2fs", "ntfs3", "auto"} & set(asked)


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ("ext2", ""),
        ("ext3", ",noload"),
        ("ext4", ",noload"),
        ("xfs", ",norecovery,nouuid"),
        ("btrfs", ",rescue=nologreplay"),
        ("f2fs", ",norecovery"),
        ("nilfs2", ",norecovery"),
        ("vfat", ""),
        ("iso9660", ""),
    ],
)
def test_the_options(disk: Disk, found: str, options: str) -> None:
    """Each file system gets what keeps its journal from being replayed, and all get the rest."""
    disk.kernel.format(disk.image, found)
    medium = disk.loops.mount_medium(disk.image, root=disk.root)
    assert disk.kernel.mount_options(medium.mount_point) == f"ro,nosuid,nodev,noatime{options}"
    disk.loops.unmount_medium("disk-1", root=disk.root)


def test_the_image_vanishes_between_two_steps(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted once it is attached it is mounted all the same; deleted before, it is an error and nothing is left."""
    disk.kernel.format(disk.image, "ext4")
    real = disk.kernel.get_free

    def get_free() -> int:
        disk.image.unlink()
        return real()

    monkeypatch.setattr(disk.kernel, "get_free", get_free)
    assert disk.loops.mount_medium(disk.image, root=disk.root).is_new
    disk.loops.unmount_medium("disk-1", root=disk.root)
    with pytest.raises(FileNotFoundError):
        disk.loops.mount_medium(disk.image, root=disk.root)
    assert disk.kernel.bound_numbers() == []
    assert list(Path(disk.root).iterdir()) == []
