"""``unmount=True`` follows dm and md: what stands on the medium's own devices alone is unmounted and stopped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._kernel import commands
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


class Scene:
    """Two media, one device of each, the first one with two partitions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kernel = MemoryKernel()
        self.loops = Loops(folder / "run", self.kernel)
        self.one = self.attach("disk-1")
        self.other = self.attach("disk-2")
        self.kernel.add_partition(self.one, 1, 0, MIB)
        self.kernel.add_partition(self.one, 2, MIB, MIB)

    def attach(self, medium: str) -> int:
        """Attach an image of a medium."""
        image = self.folder / f"{medium}.img"
        image.write_bytes(bytes(2 * MIB))
        return self.loops.attach_kept(image).number

    def release(self) -> None:
        """Release the first medium."""
        self.loops.release_all("disk-1", unmount=True, timeout=0.05)

    def stacked(self) -> list[str]:
        """Return what is still stacked on the first device."""
        return [own_name for _, own_name in self.kernel.sysfs_holders(self.one)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """The scene."""
    return Scene(tmp_path)


def test_a_volume_is_unmounted_and_removed(scene: Scene) -> None:
    """A mounted volume on a partition goes, and then the device."""
    scene.kernel.stack_dm((scene.one, 1), "vg-home")
    scene.kernel.mount_dm("vg-home", "/mnt/home")
    scene.release()
    assert scene.kernel.bound_numbers() == [scene.other]
    assert scene.kernel.mounts() == []


def test_without_it_it_is_named(scene: Scene) -> None:
    """By default it is a holder, with the command that removes it."""
    scene.kernel.stack_dm(scene.one, "vg-home")
    with pytest.raises(DeviceBusyError) as caught:
        scene.loops.release_all("disk-1", timeout=0)
    assert [(one.kind, one.hint) for one in caught.value.holders] == [("dm", "dmsetup remove vg-home")]
    scene.release()


def test_a_tower(scene: Scene) -> None:
    """A volume on an encrypted device on two partitions: from the top down."""
    scene.kernel.stack_dm((scene.one, 1), "pv", (scene.one, 2))
    scene.kernel.stack_dm("pv", "crypt")
    scene.kernel.stack_dm("crypt", "home")
    scene.kernel.stack_dm("crypt", "root")
    scene.kernel.mount_dm("home", "/mnt/home")
    scene.kernel.mount_dm("root", "/mnt/root")
    scene.release()
    assert scene.kernel.bound_numbers() == [scene.other]


def test_two_devices_of_one_medium(scene: Scene) -> None:
    """One that stands on two devices of the medium is the medium's own."""
    second = scene.attach("disk-1")
    scene.kernel.stack_dm(scene.one, "mirror", second)
    scene.release()
    assert scene.kernel.bound_numbers() == [scene.other]


@pytest.mark.parametrize("above", [False, True])
def test_a_shared_one_stays(scene: Scene, *, above: bool) -> None:
    """One that stands on another medium's device too stays as it is, and so does what is below it, mounts included."""
    if above:
        scene.kernel.stack_dm(scene.one, "pv")
        scene.kernel.stack_dm("pv", "shared", scene.other)
        scene.kernel.mount_dm("pv", "/mnt/pv")
    else:
        scene.kernel.stack_dm(scene.one, "shared", scene.other)
    scene.kernel.mount_dm("shared", "/mnt/shared")
    before = scene.kernel.mounts()
    with pytest.raises(DeviceBusyError) as caught:
        scene.release()
    assert [one.where for one in caught.value.holders] == ["pv" if above else "shared"]
    assert scene.kernel.mounts() == before
    assert scene.stacked() == ["pv" if above else "shared"]
    assert not scene.kernel.flags(scene.one).autoclear


def test_a_busy_mount_on_top(scene: Scene) -> None:
    """Somebody works on the uppermost: nothing below it is stopped, and what umount said is a note."""
    scene.kernel.stack_dm(scene.one, "vg-home")
    scene.kernel.mount_dm("vg-home", "/mnt/home", busy=True)
    with pytest.raises(DeviceBusyError) as caught:
        scene.release()
    assert "target is busy" in "".join(caught.value.__notes__)
    assert scene.stacked() == ["vg-home"]


def test_on_the_device_of_a_living_block(scene: Scene, tmp_path: Path) -> None:
    """What stands on a device of the medium that a ``with`` block holds is left alone."""
    with scene.loops.attached(tmp_path / "disk-1.img") as living:
        scene.kernel.stack_dm(scene.one, "mirror", living.number)
        with pytest.raises(DeviceBusyError):
            scene.release()
        assert scene.stacked() == ["mirror"]
        scene.kernel.unstack("mirror")
    scene.release()


@pytest.mark.skipif(sys.platform != "linux", reason="programs of Linux")
@pytest.mark.parametrize(
    ("name", "own_name", "command"),
    [
        ("dm-3", "vg-home", ["dmsetup", "remove", "--", "vg-home"]),
        ("dm-3", "-x", ["dmsetup", "remove", "--", "-x"]),
        ("md127", "md127", ["mdadm", "--stop", "/dev/md127"]),
    ],
)
def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, own_name: str, command: list[str]
) -> None:
    """A dm device is removed by its own name, md is stopped by its node; a failure has the program's own text."""
    program, *words = command
    stand_in = tmp_path / program
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/told\necho "not now" >&2\nexit ${{STATUS:-0}}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    commands.stop_stacked(name, own_name, within=20)
    assert (tmp_path / "told").read_text().splitlines() == words
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(OSError, match="not now"):
        commands.stop_stacked(name, own_name, within=20)
