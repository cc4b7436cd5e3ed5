"""``unmount=True``: what stands on the medium's own devices is unmounted first, and nothing else ever."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle, rawloop
from tests.support.images import make_image
from tests.support.media import autoclear, by_losetup, is_bound, new_hash, partitions_left
from tests.support.needs import require_tool
from tests.support.rig import mounted_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a file system that holds a folder."""
    return make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB, files={"folder/f": b"x"})


def _mount(source: object, point: Path, *options: str) -> Path:
    point.mkdir(exist_ok=True)
    oracle.run("mount", *(options or ("-o", "ro,noload")), str(source), point)
    return point


def _mounts_below(folder: Path) -> list[tuple[str, Path]]:
    """Return device number and mount point of each mount below a folder: others come and go."""
    return [one for one in oracle.mounts() if one[1].is_relative_to(folder)]


def _mount_points(folder: Path) -> list[Path]:
    return [point for _, point in oracle.mounts() if point.is_relative_to(folder)]


@contextmanager
def _unmounting(folder: Path) -> Iterator[None]:
    """Unmount in the end what is mounted below a folder and was meant to stay."""
    try:
        yield
    finally:
        for point in reversed(_mount_points(folder)):
            oracle.run("umount", point)


def test_one_mount(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A mount is unmounted, and the device is released."""
    device = loops.attach_kept(image)
    _mount(device, tmp_path / "mnt")
    report = loops.release_all(image.stem, unmount=True)
    assert [one.device for one in report.released] == [str(device)]
    assert _mount_points(tmp_path) == []


def test_without_it_nothing_is_unmounted(loops: Loops, image: Path, tmp_path: Path) -> None:
    """By default a mount is a holder like any other."""
    device = loops.attach_kept(image)
    point = _mount(device, tmp_path / "mnt")
    with pytest.raises(DeviceBusyError):
        loops.release_all(image.stem, timeout=0.1)
    assert _mount_points(tmp_path) == [point]
    loops.release_all(image.stem, unmount=True)
    assert not is_bound(device)


@pytest.mark.parametrize("times", [2, 3])
def test_several_mounts_of_one_device(loops: Loops, image: Path, tmp_path: Path, times: int) -> None:
    """All mounts of a device go: at several places, on top of each other, and bind mounts of a part of it."""
    device = loops.attach_kept(image)
    for number in range(times):
        point = _mount(device, tmp_path / f"mnt{number}")
        _mount(point / "folder", tmp_path / "same", "--bind")
    loops.release_all(image.stem, unmount=True)
    assert not is_bound(device)
    assert _mount_points(tmp_path) == []


def test_nested_mount_points(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Mounts of the medium within each other go from the innermost out."""
    first, second = loops.attach_kept(image), loops.attach_kept(image)
    outer = _mount(first, tmp_path / "mnt")
    inner = _mount(second, outer / "folder")
    assert _mount_points(tmp_path) == [outer, inner]
    loops.release_all(image.stem, unmount=True)
    assert not oracle.bound_devices(image)
    assert _mount_points(tmp_path) == []


def test_partitions(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Mounted partitions are unmounted, and gone with the device."""
    disk = tmp_path / f"{new_hash()}.img"
    disk.write_bytes(bytes(MIB) + image.read_bytes() * 2)
    device = loops.attach_kept(disk)
    for number in (1, 2):
        oracle.run(require_tool("addpart"), device, str(number), str(number * MIB // 512), str(MIB // 512))
        _mount(f"{device}p{number}", tmp_path / f"mnt{number}")
    loops.release_all(disk.stem, unmount=True)
    assert not is_bound(device)
    assert partitions_left(device) == []


def test_devices_of_losetup_and_any_mount_point(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A device that losetup made is unmounted too, whatever bytes its mount point's name has."""
    device = by_losetup(image)
    for name in (b"a b", b"a\nb", b"\xff", b"back\\slash", b"#"):
        _mount(device, tmp_path / os.fsdecode(name))
    loops.release_all(image, unmount=True)
    assert not is_bound(device)


@pytest.mark.parametrize("below", ["", "folder"])
def test_a_foreign_mount_on_top_stays(loops: Loops, image: Path, tmp_path: Path, below: str) -> None:
    """A mount of somebody else on top of ours, or below it, stays, and so does ours: the error says which mount."""
    device = loops.attach_kept(image)
    point = _mount(device, tmp_path / "mnt")
    with _unmounting(tmp_path):
        top = _mount("none", point / below, "-t", "tmpfs")
        before = _mounts_below(tmp_path)
        with pytest.raises(DeviceBusyError, match=str(point)):
            loops.release_all(image.stem, unmount=True, timeout=0.2)
        assert _mounts_below(tmp_path) == before
        assert autoclear(device) == "0"
        oracle.run("umount", top)
        loops.release_all(image.stem, unmount=True)
    assert not is_bound(device)


def test_a_foreign_mount_between_two_of_ours_stays(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Ours, somebody else's, ours, on one mount point: only the uppermost goes, the foreign one stays."""
    device = loops.attach_kept(image)
    point = _mount(device, tmp_path / "mnt")
    with _unmounting(tmp_path):
        _mount("none", point, "-t", "tmpfs")
        before = _mounts_below(tmp_path)
        _mount(device, point)
        with pytest.raises(DeviceBusyError):
            loops.release_all(image.stem, unmount=True, timeout=0.2)
        assert _mounts_below(tmp_path) == before
    loops.release_all(image.stem)


def test_a_mount_with_an_open_file_stays(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Never lazily: a file system with an open file stays mounted, and umount's own words are a note on the error."""
    device = loops.attach_kept(image)
    point = _mount(device, tmp_path / "mnt")
    with rawloop.opened(point / "folder/f"):
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image.stem, unmount=True, timeout=3)
        assert "busy" in "".join(caught.value.__notes__)
        assert _mount_points(tmp_path) == [point]
    loops.release_all(image.stem, unmount=True)
    assert not is_bound(device)


def test_a_mount_in_another_namespace_stays(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A mount of another mount namespace is out of reach: it is the holder that is named."""
    device = loops.attach_kept(image)
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(device.path, tmp_path / "mnt") as process:
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image.stem, unmount=True, timeout=0.2)
        assert [one.pid for one in caught.value.holders] == [process.pid]
        process.communicate("\n")
    loops.release_all(image.stem)
    assert not is_bound(device)


def test_the_block_of_a_living_process_stays_mounted(loops: Loops, image: Path, tmp_path: Path) -> None:
    """What is mounted within a with block that has not ended stays mounted."""
    with loops.attached(image) as device:
        point = _mount(device, tmp_path / "mnt")
        with pytest.raises(DeviceBusyError):
            loops.release_all(image.stem, unmount=True, timeout=0.1)
        assert _mount_points(tmp_path) == [point]
        oracle.run("umount", point)


def test_another_medium_stays_mounted(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Another medium's mounts stay."""
    other = make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB)
    ours, theirs = loops.attach_kept(image), loops.attach_kept(other)
    _mount(ours, tmp_path / "ours")
    point = _mount(theirs, tmp_path / "theirs")
    loops.release_all(image.stem, unmount=True)
    assert (is_bound(ours), is_bound(theirs), _mount_points(tmp_path)) == (False, True, [point])
    loops.release_all(other.stem, unmount=True)
