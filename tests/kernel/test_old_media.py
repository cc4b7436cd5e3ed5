"""Floppies, cards and CDs: vfat and iso9660 images are attached, mounted, read, and left as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle
from tests.support.disks import put, write_table
from tests.support.features import require_filesystem
from tests.support.media import new_hash
from tests.support.mountings import is_clean
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 2**20
LABEL = b"NTT 1995"


def _vfat(path: Path) -> Path:
    """A floppy of 1.44 MB; what identifies it is its label, which is a directory entry of its root."""
    path.write_bytes(bytes(1440 * 1024))
    oracle.run(require_tool("mkfs.vfat"), "-n", LABEL.decode(), path)
    return path


def _iso9660(path: Path) -> Path:
    """A CD with one file in a folder, by Joliet and Rock Ridge names."""
    folder = path.with_name("cd")
    (folder / "A folder").mkdir(parents=True)
    (folder / "A folder/read me.txt").write_bytes(LABEL)
    oracle.run(
        require_tool("xorriso"), "-as", "mkisofs", "-quiet", "-J", "-R", "-V", LABEL.decode(), "-o", path, folder
    )
    return path


MAKERS = {"vfat": _vfat, "iso9660": _iso9660}


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    """The type of the file system."""
    require_filesystem(request.param)
    return str(request.param)


@pytest.fixture
def image(kind: str, tmp_path: Path) -> Path:
    """An image of that type."""
    make: Callable[[Path], Path] = MAKERS[kind]
    return make(tmp_path / f"{new_hash()}.img")


def _fstype(point: Path) -> str:
    return oracle.run("findmnt", "--noheadings", "--output", "FSTYPE,OPTIONS", "--mountpoint", point).strip()


def test_it_is_mounted_read_only(loops: Loops, image: Path, kind: str) -> None:
    """By ``mounted``, with the type that blkid finds; nothing of the image changes; nothing is left."""
    before = oracle.sha256(image)
    with loops.attached(image) as device, loops.mounted(device) as point:
        fstype, options = _fstype(point).split()
        assert fstype == kind
        assert options.split(",")[0] == "ro"
        if kind == "iso9660":
            assert (point / "A folder/read me.txt").read_bytes() == LABEL
    assert not oracle.bound_devices(image)
    assert oracle.sha256(image) == before


def test_a_whole_medium(loops: Loops, image: Path, kind: str, tmp_path: Path) -> None:
    """``mount_medium`` mounts it below the root, ``unmount_medium`` leaves nothing."""
    root = tmp_path / "root"
    medium = loops.mount_medium(image, root=root)
    (part,) = medium.partitions
    assert part.mount_point is not None
    assert _fstype(part.mount_point).split()[0] == kind
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_a_card_with_an_mbr(loops: Loops, tmp_path: Path) -> None:
    """A vfat in a partition, as cameras format their cards; what was written through the library is read back."""
    require_filesystem("vfat")
    disk, inner = tmp_path / f"{new_hash()}.img", _vfat(tmp_path / "inner")
    disk.write_bytes(bytes(4 * MIB))
    write_table(disk, "dos", [(2048, len(inner.read_bytes()) // 512, "6")])
    put(disk, MIB, inner.read_bytes())
    with loops.attached(disk, writable=True) as device:
        point = tmp_path / "mnt"
        point.mkdir()
        oracle.run("mount", "-t", "vfat", str(device.partition(1)), point)
        (point / "DCIM").mkdir()
        (point / "DCIM/a long name.jpg").write_bytes(LABEL)
        oracle.run("umount", point)
    with loops.attached(disk) as device, loops.mounted(device.partition(1)) as mounted:
        assert (mounted / "DCIM/a long name.jpg").read_bytes() == LABEL
    assert not oracle.bound_devices(disk)
