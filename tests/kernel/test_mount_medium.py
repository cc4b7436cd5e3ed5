"""``mount_medium``, ``mounted_medium``, ``unmount_medium``: whole disks, one process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops import (
    DeviceBusyError,
    ImageNotFoundError,
    Loops,
    MediumError,
    MountedMedium,
    MountError,
    mount_medium,
    unmount_medium,
)
from tests.support import oracle, rawloop
from tests.support.dirty import make_clean
from tests.support.features import has_udev
from tests.support.images import make_image
from tests.support.media import autoclear, by_losetup, is_bound, new_id
from tests.support.mountings import is_clean
from tests.support.needs import require_tool
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024


def test_a_whole_disk(loops: Loops, root: Path, image: Path) -> None:
    """One file system is mounted at the medium's own folder, from one armed device that nobody holds open."""
    medium = loops.mount_medium(image, root=root)
    (device,) = oracle.bound_devices(image)
    assert oracle.mounts_of(device) == [root / image.stem]
    assert (root / image.stem / "f").read_bytes() == b"content"
    assert rawloop.sysfs(oracle.device_number(device), "loop/autoclear") == b"1"
    (part,) = medium.partitions
    assert (medium.medium, medium.image, medium.layout) == (image.stem, image, "single")
    assert (medium.mount_point, medium.offset_bytes, medium.hybrid, medium.is_new) == (
        root / image.stem,
        0,
        False,
        True,
    )
    assert [str(one) for one in medium.devices] == [device]
    assert (part.number, part.device, part.mount_point, part.fstype) == (None, device, root / image.stem, "ext4")
    assert (part.status, part.error, part.start_bytes, part.size_bytes) == ("ok", "", 0, MIB)
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_again_is_the_same(loops: Loops, root: Path, image: Path) -> None:
    """What is mounted is told, and nothing is done."""
    first = loops.mount_medium(image, root=root)
    again = loops.mount_medium(image, root=root)
    assert not again.is_new
    assert attrs.evolve(again, is_new=True) == first
    assert len(oracle.bound_devices(image)) == 1
    loops.unmount_medium(image.stem, root=root)
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_it_is_on_record_without_an_owner(loops: Loops, root: Path, image: Path) -> None:
    """It is listed; no living process counts as its owner, so that a release of all may unmount it."""
    loops.mount_medium(image, root=root)
    (state,) = loops.list_media(image.stem)[0].attachments
    assert (state.made_by, state.owner_pid) == ("scoped", None)
    loops.release_all(image.stem, unmount=True)
    assert not oracle.bound_devices(image)
    assert list(root.iterdir()) == [root / image.stem]
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_a_umount_by_hand_frees_the_device(loops: Loops, root: Path, image: Path) -> None:
    """It goes with its last mount, by whomever that is unmounted; the next call makes all of it anew."""
    medium = loops.mount_medium(image, root=root)
    oracle.run("umount", medium.mount_point)
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the device is free")
    assert loops.mount_medium(image, root=root).is_new
    report = loops.unmount_medium(image.stem, root=root)
    assert len(report.released) == 1
    assert is_clean(loops, root, image)


def test_a_sweep_leaves_it(loops: Loops, root: Path, image: Path) -> None:
    """A mounted device is in use, also when its image is deleted."""
    loops.mount_medium(image, root=root)
    image.unlink()
    (kept,) = loops.sweep().kept
    assert kept.reason == "in use"
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "xfs", "btrfs"])
def test_file_systems(loops: Loops, root: Path, tmp_path: Path, kind: str) -> None:
    """Every file system that this kernel has is mounted, found again, and gone in the end."""
    image = make_clean(tmp_path / f"{new_id()}.img", kind)
    assert loops.mount_medium(image, root=root).partitions[0].fstype == kind
    assert not loops.mount_medium(image, root=root).is_new
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_squashfs(loops: Loops, root: Path, tmp_path: Path) -> None:
    """A file system without any device of its own kind, too."""
    (tmp_path / "folder").mkdir()
    image = tmp_path / f"{new_id()}.img"
    oracle.run(require_tool("mksquashfs"), tmp_path / "folder", image, "-quiet")
    assert loops.mount_medium(image, root=root).partitions[0].fstype == "squashfs"
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_a_zip_disk(loops: Loops, root: Path, tmp_path: Path) -> None:
    """A file system that begins at byte 16384 is attached from there, and found again so."""
    inner = make_image(tmp_path / "inner", size_bytes=MIB, files={"f": b"zip"})
    image = tmp_path / f"{new_id()}.img"
    image.write_bytes(bytes(16384) + inner.read_bytes())
    before = oracle.sha256(image)
    medium = loops.mount_medium(image, root=root)
    assert (medium.offset_bytes, medium.layout, medium.hybrid) == (16384, "single", False)
    assert (medium.mount_point / "f").read_bytes() == b"zip"
    assert attrs.evolve(loops.mount_medium(image, root=root), is_new=True) == medium
    assert len(oracle.bound_devices(image)) == 1
    loops.unmount_medium(image.stem, root=root)
    assert oracle.sha256(image) == before
    assert is_clean(loops, root, image)


@pytest.mark.parametrize("leaver", ["body", "error"])
def test_as_a_block(loops: Loops, root: Path, image: Path, leaver: str) -> None:
    """The block that mounted it unmounts it, one within that found it mounted does not."""
    error = RuntimeError("of the body")
    try:
        with loops.mounted_medium(image, root=root) as outer:
            with loops.mounted_medium(image, root=root) as inner:
                assert (outer.is_new, inner.is_new) == (True, False)
            assert outer.mount_point.is_mount()
            if leaver == "error":
                raise error
    except RuntimeError as caught:
        assert caught is error  # noqa: PT017 - it is the same one, with nothing in its stead
    assert not root.exists()
    assert is_clean(loops, root, image)


def test_a_block_that_is_in_use(loops: Loops, root: Path, image: Path) -> None:
    """Somebody who works there keeps it mounted: an error that names the process."""
    with pytest.raises(DeviceBusyError) as caught, loops.mounted_medium(image, root=root, timeout=3) as medium:
        file = (medium.mount_point / "f").open("rb")
    with file:
        assert str(medium.mount_point / "f") in {one.where for one in caught.value.holders}
        assert medium.mount_point.is_mount()
        with pytest.raises(DeviceBusyError):
            loops.unmount_medium(image.stem, root=root, timeout=0.1)
        assert medium.mount_point.is_mount()
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_as_functions(root: Path, image: Path) -> None:
    """The module's functions are those of the default ledger."""
    name = new_id()
    medium: MountedMedium = mount_medium(str(image), medium=name, root=str(root))
    assert medium.mount_point == root / name
    unmount_medium(name, root=root)
    assert not oracle.bound_devices(image)


def test_a_relative_root(loops: Loops, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is below the current folder."""
    monkeypatch.chdir(tmp_path)
    for root, place in (("here", tmp_path / "here"), (".", tmp_path), ("x/../y", tmp_path / "y")):
        with loops.mounted_medium(image, root=root) as medium:
            assert medium.mount_point == place / image.stem
            assert oracle.mounts_of(oracle.bound_devices(image)[0]) == [place / image.stem]


@pytest.mark.parametrize("medium", ["..", ".", "a/b", "", "/etc", "\0"])
def test_an_id_that_leads_elsewhere(loops: Loops, root: Path, image: Path, medium: str) -> None:
    """An id is one part of a path: nothing is mounted or unmounted outside of the root."""
    with pytest.raises(MediumError):
        loops.mount_medium(image, medium=medium, root=root)
    with pytest.raises(MediumError):
        loops.mounted_medium(image, medium=medium, root=root)
    with pytest.raises(MediumError):
        loops.unmount_medium(medium, root=root)
    assert is_clean(loops, root, image)


@pytest.mark.parametrize("medium", ["-o rw", "a b\nc", "\udcff", "\\040", "%2F", "p1"])
def test_odd_ids(loops: Loops, root: Path, image: Path, medium: str) -> None:
    """Any other id is a folder's name."""
    with loops.mounted_medium(image, medium=medium, root=root) as found:
        assert found.mount_point == root / medium
        assert oracle.mounts_of(oracle.bound_devices(image)[0]) == [root / medium]
        assert not loops.mount_medium(image, medium=medium, root=root).is_new
    assert is_clean(loops, root, image)


def test_no_image(loops: Loops, root: Path, tmp_path: Path) -> None:
    """An image that is not there: nothing is made."""
    with pytest.raises(ImageNotFoundError):
        loops.mount_medium(tmp_path / "missing.img", root=root)
    assert not root.exists()


@pytest.mark.parametrize("kind", ["pattern", "swap"])
def test_nothing_to_mount(loops: Loops, root: Path, tmp_path: Path, kind: str) -> None:
    """Nothing that can be mounted: what was found and said is in the error, and nothing is left, not even the root."""
    image = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB, fs=None)
    if kind == "swap":
        oracle.run(require_tool("mkswap"), image)
    with pytest.raises(MountError) as caught:
        loops.mount_medium(image, root=root)
    (part,) = caught.value.partitions
    assert (part.number, part.mount_point, part.status) == (None, None, "failed" if kind == "pattern" else "swap")
    assert part.error.startswith("mount: " if kind == "pattern" else "swap space")
    assert "\n" not in part.error
    assert not root.exists()
    assert is_clean(loops, root, image)


def _file(place: Path) -> None:
    place.touch()


def _symlink(place: Path) -> None:
    (place.parent / "elsewhere").mkdir()
    place.symlink_to("elsewhere")


def _not_empty(place: Path) -> None:
    (place / "p1").mkdir(parents=True)
    (place / "p1" / "file").touch()


def _folder_of_another_kind(place: Path) -> None:
    (place / "photos").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_file, "no folder: remove it"),
        (_symlink, "symlink: remove it"),
        (_not_empty, "it holds p1: empty it"),
        (_folder_of_another_kind, "it holds photos: empty it"),
    ],
)
def test_a_folder_that_cannot_be_used(
    loops: Loops, root: Path, image: Path, make: Callable[[Path], None], words: str
) -> None:
    """The medium's place is somebody else's: an error that says what is there, and it is left as it is."""
    root.mkdir()
    make(root / image.stem)
    before = sorted(root.rglob("*"))
    with pytest.raises(MountError, match=words):
        loops.mount_medium(image, root=root)
    assert sorted(root.rglob("*")) == before
    assert not oracle.bound_devices(image)
    loops.unmount_medium(image.stem, root=root)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("make", [_file, _symlink])
def test_a_root_that_cannot_be_used(loops: Loops, root: Path, image: Path, make: Callable[[Path], None]) -> None:
    """A root that is a file or a symlink is refused."""
    make(root)
    with pytest.raises(MountError, match=str(root)):
        loops.mount_medium(image, root=root)
    assert not oracle.bound_devices(image)
    assert not root.is_dir() or list(root.iterdir()) == []


def test_left_over_folders_are_used(loops: Loops, root: Path, image: Path) -> None:
    """Empty folders that a killed run left are no obstacle, and go with the rest."""
    (root / image.stem / "p1").mkdir(parents=True)
    (root / image.stem / "p12").mkdir()
    loops.mount_medium(image, root=root)
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


@pytest.mark.parametrize("below", ["", "p1"])
def test_a_foreign_mount(loops: Loops, root: Path, image: Path, below: str) -> None:
    """Something else is mounted at the medium's place: refused, and it stays, also by unmount_medium."""
    place = root / image.stem / below
    place.mkdir(parents=True)
    with mounted("none", place, "-t", "tmpfs"):
        with pytest.raises(MountError, match=r"something else.*unmount it"):
            loops.mount_medium(image, root=root)
        assert not oracle.bound_devices(image)
        assert loops.unmount_medium(image.stem, root=root).problems
        assert place.is_mount()
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_another_image(loops: Loops, root: Path, image: Path, tmp_path: Path) -> None:
    """Mounted from another file of that name, one that was re-imaged: an error that names both, and nothing changes."""
    medium = loops.mount_medium(image, root=root)
    (device,) = oracle.bound_devices(image)
    make_image(tmp_path / "new.img", size_bytes=MIB).replace(image)
    with pytest.raises(MountError) as caught:
        loops.mount_medium(image, root=root)
    assert f"{image} (deleted)" in str(caught.value)
    assert repr(str(image)) in str(caught.value)
    assert f"'ntt-loops unmount {image.stem}'" in str(caught.value)
    assert oracle.mounts_of(device) == [medium.mount_point]
    assert not oracle.bound_devices(image)
    loops.unmount_medium(image.stem, root=root)
    assert loops.mount_medium(image, root=root).is_new
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_idle_left_overs_are_released_first(loops: Loops, root: Path, image: Path) -> None:
    """Kept and foreign devices that nobody uses go; what somebody mounted elsewhere and a living block stay."""
    loops.attach_kept(image)
    by_losetup(image)
    used = by_losetup(image)
    with loops.attached(image) as living, mounted(used, root.with_name("elsewhere"), "-o", "ro,noload"):
        medium = loops.mount_medium(image, root=root)
        assert set(oracle.bound_devices(image)) == {str(living), used, str(medium.devices[0])}
        assert autoclear(used) == "0"
        oracle.run("umount", medium.mount_point)
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)
    assert not is_bound(used)


def test_left_overs_of_an_id_that_is_no_hash(loops: Loops, root: Path, tmp_path: Path) -> None:
    """Foreign devices of this file are found, whatever it is called."""
    image = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB)
    by_losetup(image)
    if has_udev():
        oracle.run("udevadm", "settle")  # while udev looks at it, it stays
    medium = loops.mount_medium(image, root=root)
    assert oracle.bound_devices(image) == [str(medium.devices[0])]  # on the same number, maybe
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_busy_devices_are_not_waited_for(loops: Loops, root: Path, image: Path) -> None:
    """A left-over that somebody reads costs no waiting."""
    left = by_losetup(image)
    with rawloop.opened(left):
        medium = loops.mount_medium(image, root=root, timeout=30)
        assert medium.is_new
        assert autoclear(left) == "0"
    assert os.path.ismount(medium.mount_point)
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)
