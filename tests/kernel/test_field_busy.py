"""Field cases of devices in use: what was detached "successfully", vanished later, or was held by nobody to be seen."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle, rawloop
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.media import autoclear, is_bound, leave_soon, new_hash, new_image
from tests.support.needs import require_tool
from tests.support.rig import mounted, mounted_elsewhere, swapping

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import Holder

MIB = 1024 * 1024


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that can be mounted."""
    return make_image(tmp_path / f"{new_hash()}.img", size_bytes=4 * MIB, files={"f": b"x"})


def _holders_of_a_failed_release(loops: Loops, image: Path) -> list[Holder]:
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(image.stem, timeout=0.1)
    return list(caught.value.holders)


def test_case_01_busy_is_an_error_that_names_the_holder(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A mounted device: losetup -d says 0 and arms it, a release raises with the mount and leaves it as it was."""
    device = loops.attach_kept(image)
    with mounted(device.path, tmp_path / "mnt", "-o", "ro") as point:
        (holder,) = _holders_of_a_failed_release(loops, image)
        assert (holder.kind, holder.where, holder.hint) == ("mount", str(point), f"umount {point}")
        assert autoclear(device) == "0"
        oracle.losetup_detach(str(device))
        assert (is_bound(device), autoclear(device)) == (True, "1")
    oracle.wait_until(lambda: not is_bound(device), "what losetup armed goes at the umount")


def test_case_02_a_device_in_use_does_not_vanish_later(loops: Loops, image: Path, tmp_path: Path) -> None:
    """After releases that failed, beside an opener that raced them, a device outlives the umount and the last close."""
    device = loops.attach_kept(image)
    with mounted(device.path, tmp_path / "mnt", "-o", "ro"), reader(device):
        for _ in range(3):
            _holders_of_a_failed_release(loops, image)
    with reader(device):
        _holders_of_a_failed_release(loops, image)
    assert oracle.bound_devices(image) == [str(device)]
    loops.release(device)


def test_case_06_a_mount_that_only_a_sandbox_sees_is_found(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A sandbox keeps its copy of a mount that was unmounted here: the device is busy, and a process in it is named."""
    device = loops.attach_kept(image)
    (tmp_path / "mnt").mkdir()
    with mounted(device.path, tmp_path / "mnt", "-o", "ro"):
        command = [require_tool("unshare"), "-m", "--propagation", "private", "sh", "-c", "echo; read -r end"]
        sandbox = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert sandbox.stdout is not None
        sandbox.stdout.readline()
    try:
        assert oracle.mounts_of(str(device)) == []
        (holder,) = _holders_of_a_failed_release(loops, image)
        assert (holder.kind, holder.pid, holder.where) == ("mount", sandbox.pid, str(tmp_path / "mnt"))
    finally:
        sandbox.communicate(b"\n")
    loops.release(device)
    assert not is_bound(device)


def test_case_07_swap_and_an_automounter_are_named_with_the_command(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Swap, and a desktop's mount of a partition: holders() names each kind, and the command that frees it."""
    swap = make_image(tmp_path / "swap.img", size_bytes=MIB, fs=None)
    device = loops.attach_kept(swap, writable=True)
    with swapping(device.path):
        assert [(one.kind, one.hint) for one in loops.holders(device)] == [("swap", f"swapoff {device}")]
    loops.release(device)
    disk = tmp_path / f"{new_hash()}.img"
    disk.write_bytes(bytes(MIB) + image.read_bytes())
    device = loops.attach_kept(disk)
    oracle.run(require_tool("addpart"), device, "1", str(MIB // 512), str(4 * MIB // 512))
    point = tmp_path / "My Floppy"
    with mounted(f"{device}p1", point, "-o", "ro,noload"):
        (holder,) = loops.holders(device)
        assert (holder.kind, holder.device, holder.hint) == ("mount", f"{device}p1", f"umount '{point}'")
        subprocess.run(["sh", "-c", holder.hint], check=True)
    loops.release(device)
    assert not is_bound(device)


def test_case_08_our_own_open_file_is_named(loops: Loops, tmp_path: Path) -> None:
    """A file that this very process has open is a holder, and the hint says so."""
    device = loops.attach_kept(new_image(tmp_path))
    with rawloop.opened(device):
        (holder,) = loops.holders(device)
        assert "this very process" in holder.hint
        with pytest.raises(DeviceBusyError, match="this very process"):
            loops.release(device, timeout=0.1)
    loops.release(device)


def test_case_11_an_exit_before_the_umount_raises_and_release_all_works_later(
    loops: Loops, image: Path, tmp_path: Path
) -> None:
    """Left while mounted, the block raises; device and record stay; release_all(unmount=True) then clears up."""
    attachment = loops.attached(image)
    point = tmp_path / "mnt"
    point.mkdir()
    device = attachment.__enter__()
    leave_soon(attachment)
    oracle.run("mount", "-o", "ro,noload", device, point)
    with pytest.raises(DeviceBusyError, match=str(point)):
        attachment.__exit__(None, None, None)
    assert oracle.bound_devices(image) == [str(device)]
    assert [one.device for state in loops.list_media(image.stem) for one in state.attachments] == [str(device)]
    loops.release_all(image.stem, unmount=True)
    assert not point.is_mount()
    assert not oracle.bound_devices(image)
    assert loops.list_media(image.stem) == []


def test_case_14_a_busy_device_is_tried_until_the_deadline_and_told(loops: Loops, tmp_path: Path) -> None:
    """A sweep takes one pass, a release ends at its deadline, and each tells why the device was kept."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    with reader(device) as process:
        assert [one.pid for one in _holders_of_a_failed_release(loops, image)] == [process.pid]
        image.unlink()
        (kept,) = loops.sweep().kept
        assert (kept.device, kept.reason, [one.pid for one in kept.holders]) == (str(device), "in use", [process.pid])
    loops.sweep()
    assert not is_bound(device)


def test_case_26_the_state_is_read_again_at_each_step(loops: Loops, image: Path, tmp_path: Path) -> None:
    """What a first look listed - partitions, mounts, holders - is asked anew after a umount, and not used stale."""
    device = loops.attach_kept(image)
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(device.path, tmp_path / "mnt") as process:
        assert len(loops.holders(device)) == 1
        process.communicate("\n")
    assert loops.holders(device) == []
    oracle.run(require_tool("addpart"), device, "1", "8", "8")
    assert [one.number for one in device.partitions] == [1]
    loops.release(device)
    assert len(device.partitions) == 0
    assert loops.holders(device) == []
