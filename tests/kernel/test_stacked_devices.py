"""dm, LVM and md on a medium's devices: named as holders, a release is refused, and ``unmount=True`` stops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import ntt_disks, oracle, stacks
from tests.support.cli import CommandLine
from tests.support.features import require_device_mapper, require_filesystem, require_md
from tests.support.images import make_image
from tests.support.media import autoclear, by_losetup, is_bound, new_hash, new_image
from tests.support.rig import mounted

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopDevice

MIB = 2**20
SECTORS = MIB // 512


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with an ext4 that holds one file."""
    return make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB, files={"f": b"content"})


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """The members of an array of two disks."""
    require_md()
    images = [new_image(tmp_path, size_bytes=8 * MIB) for _ in range(2)]
    stacks.make_members(*images)
    return images


def _refused(loops: Loops, device: LoopDevice) -> list[tuple[str, str, str]]:
    """Release a device that is in use, and return kind, place and hint of each holder that the error names."""
    with pytest.raises(DeviceBusyError) as caught:
        loops.release(device, timeout=0.3)
    assert is_bound(device)
    assert autoclear(device) == "0"
    assert [one.to_dict() for one in caught.value.holders] == [one.to_dict() for one in loops.holders(device)]
    return [(one.kind, one.where, one.hint) for one in caught.value.holders]


def test_dm_is_named_and_stopped(loops: Loops, image: Path) -> None:
    """A linear target: the release is refused with its name and the command; ``unmount=True`` removes it."""
    require_device_mapper()
    device = loops.attach_kept(image)
    with stacks.linear(device, sectors=SECTORS) as name:
        assert _refused(loops, device) == [("dm", name, f"dmsetup remove {name}")]
        loops.release_all(image.stem, unmount=True)
        assert not is_bound(device)
        assert name not in oracle.run("dmsetup", "ls")


def test_a_mounted_dm_is_unmounted_first(loops: Loops, image: Path, tmp_path: Path) -> None:
    """What is mounted is the dm device: it is unmounted, stopped, and then the loop device goes."""
    require_device_mapper()
    device = loops.attach_kept(image)
    with stacks.linear(device, sectors=SECTORS) as name:
        with mounted(f"/dev/mapper/{name}", tmp_path / "mnt", "-o", "ro,noload") as point:
            assert (point / "f").read_bytes() == b"content"
            loops.release_all(image.stem, unmount=True)
            assert not point.is_mount()
        assert not is_bound(device)


def test_a_dm_that_is_open_stays(loops: Loops, image: Path) -> None:
    """What somebody reads is not stopped: the device stays, with the holder and dmsetup's own words."""
    require_device_mapper()
    device = loops.attach_kept(image)
    with stacks.linear(device, sectors=SECTORS) as name:
        with open(f"/dev/mapper/{name}", "rb"), pytest.raises(DeviceBusyError) as caught:  # noqa: PTH123 - it is held
            loops.release_all(image.stem, unmount=True, timeout=30.0)
        assert [one.kind for one in caught.value.holders] == ["dm"]
        assert "busy" in "".join(caught.value.__notes__)
        assert is_bound(device)
    loops.release(device)


def test_a_dm_over_two_media_stays(loops: Loops, image: Path, tmp_path: Path) -> None:
    """One that stands on another medium too is not this medium's to stop; both releases go once it is removed."""
    require_device_mapper()
    other = new_image(tmp_path, size_bytes=MIB)
    devices = [loops.attach_kept(image), loops.attach_kept(other)]
    with stacks.linear(*devices, sectors=SECTORS) as name:
        for one in (image, other):
            with pytest.raises(DeviceBusyError, match=name):
                loops.release_all(one.stem, unmount=True, timeout=0.3)
    for one in (image, other):
        loops.release_all(one.stem)
    assert not any(map(is_bound, devices))


def test_lvm_is_named_and_stopped(loops: Loops, tmp_path: Path) -> None:
    """The active volumes of a group on the image: each is named, ``unmount=True`` stops them."""
    require_device_mapper()
    group = f"ntt{new_hash()[:8]}"
    image = ntt_disks.lvm(tmp_path / f"{new_hash()}.img", group, ["root", "home.old"])
    before = oracle.sha256(image)
    device = loops.attach_kept(image)
    with stacks.volumes(device, group):
        expected = [("dm", name, f"dmsetup remove {name}") for name in (f"{group}-home.old", f"{group}-root")]
        assert sorted(_refused(loops, device)) == expected
        loops.release_all(image.stem, unmount=True)
        assert not is_bound(device)
    assert oracle.sha256(image) == before


def test_the_commands_of_why_free_it(loops: Loops, image: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``ntt-loops why`` names what stands on it, and what it says to run lets the device go."""
    require_device_mapper()
    device = loops.attach_kept(image)
    with stacks.linear(device, sectors=SECTORS) as name:
        said = CommandLine(capfd)("why", device)
        assert name in said.out
        assert f"dmsetup remove {name}" in said.out
        oracle.run("dmsetup", "remove", name)
        assert CommandLine(capfd)("why", device).out.startswith(f"Nobody uses {device}")
    loops.release(device)


def test_lvm_in_a_partition_is_stopped(loops: Loops, tmp_path: Path) -> None:
    """A volume that is mounted, in a group in a partition: all of it goes, from the top to the bottom."""
    require_device_mapper()
    require_filesystem("ext4")
    group = f"ntt{new_hash()[:8]}"
    inner = ntt_disks.lvm(tmp_path / "inner", group, ["root"])
    disk = ntt_disks.make_disk(
        tmp_path / f"{new_hash()}.img", "label: dos\nsize=4MiB\nsize=18MiB, type=8e\n", {2: inner}
    )
    device = loops.attach_kept(disk)
    part = device.partition(2)
    with stacks.volumes(part, group):
        assert [(one.kind, one.where) for one in loops.holders(device)] == [("dm", f"{group}-root")]
        loops.release_all(disk.stem, unmount=True)
    assert (is_bound(device), oracle.partition_nodes(str(device))) == (False, [])


def test_md_is_named_and_stopped(loops: Loops, tmp_path: Path) -> None:
    """An array of one disk: named with its command, and stopped."""
    require_md()
    image = new_image(tmp_path, size_bytes=8 * MIB)
    stacks.make_members(image)
    before = oracle.sha256(image)
    device = loops.attach_kept(image)
    with stacks.array(device) as array:
        assert _refused(loops, device) == [("md", array.name, f"mdadm --stop /dev/{array.name}")]
        loops.release_all(image.stem, unmount=True)
        assert not is_bound(device)
    assert oracle.sha256(image) == before


def test_an_array_over_two_media_stays(loops: Loops, pair: list[Path]) -> None:
    """A medium alone does not stop what stands on another one as well."""
    devices = [loops.attach_kept(image) for image in pair]
    with stacks.array(*devices) as array:
        for image in pair:
            with pytest.raises(DeviceBusyError, match=array.name):
                loops.release_all(image.stem, unmount=True, timeout=0.3)
        assert all(map(is_bound, devices))
    for image in pair:
        loops.release_all(image.stem, unmount=True)
    assert not any(map(is_bound, devices))


def test_an_array_of_one_medium_is_stopped(loops: Loops, pair: list[Path], tmp_path: Path) -> None:
    """Both members belong to the medium: the array goes, whoever attached them."""
    medium = new_hash()
    devices = [loops.attach_kept(image, medium=medium) for image in pair]
    with stacks.array(*devices):
        loops.release_all(medium, unmount=True)
    assert not any(map(is_bound, devices))
    image = new_image(tmp_path, size_bytes=8 * MIB)
    stacks.make_members(image)
    foreign = by_losetup(image)
    with stacks.array(foreign):
        loops.release_all(image, unmount=True)
    assert not is_bound(foreign)


def test_a_filesystem_on_an_array_is_unmounted_first(loops: Loops, tmp_path: Path) -> None:
    """What is mounted is the array."""
    require_md()
    image = new_image(tmp_path, size_bytes=16 * MIB)
    stacks.make_members(image)
    with loops.attached(image, writable=True) as device, stacks.array(device) as array:
        oracle.run("mdadm", "--readwrite", array.node)
        oracle.run("mkfs.ext4", "-q", array.node)
        oracle.run("mdadm", "--stop", array.node)
    kept = loops.attach_kept(image)
    with stacks.array(kept) as array, mounted(array.node, tmp_path / "mnt", "-o", "ro,noload") as point:
        loops.release_all(image.stem, unmount=True)
        assert not point.is_mount()
    assert not is_bound(kept)
