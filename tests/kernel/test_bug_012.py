"""BUG-012: devices that pile up, that outlive their image, and that keep the disk full. None of it happens any more.

A medium went through attach, mount, a failure, a retry and the archiver, and each run left a device: 17 for one medium,
over 30 on the host, shown as "(deleted)".
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ntt_loops import DeviceBusyError, LoopDevice, Loops
from ntt_loops._medium import attempt
from tests.support import oracle
from tests.support.images import make_image
from tests.support.kernels import FencedKernel
from tests.support.media import autoclear, by_losetup, is_bound, new_hash
from tests.support.rig import mounted

SIZE_BYTES = 1024 * 1024
FILES = {"letter.txt": b"Dear reader", "folder/b": b"x" * 5000}
LEFT_OVER = 17


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 5.0)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _medium(folder: Path) -> Path:
    return make_image(folder / f"{new_hash()}.img", size_bytes=SIZE_BYTES, files=FILES)


def _listed_as_deleted(folder: Path) -> list[str]:
    """Return the lines of `losetup -l | grep deleted` that are of this test's folder."""
    lines = oracle.run("losetup", "-l").splitlines()
    return [line for line in lines if "deleted" in line and str(folder) in line]


def _copy_out(device: LoopDevice, folder: Path) -> dict[str, bytes]:
    with mounted(device.path, folder / "mnt", "-o", "ro,noload") as point:
        return {name: (point / name).read_bytes() for name in FILES}


def _fail(loops: Loops, image: Path, folder: Path) -> None:
    """Be a stage that fails while the medium is mounted, and unmounts it on its way out."""
    with loops.attached(image) as device, mounted(device.path, folder / "mnt", "-o", "ro,noload"):
        raise RuntimeError("the copy failed")


def _process(loops: Loops, image: Path, folder: Path) -> None:
    """Take one medium through all stages, with a failure and a retry, up to the archiver's unlink."""
    before = oracle.sha256(image)
    with loops.attached(image) as device:
        subprocess.run(["blkid", "-p", device], check=True, capture_output=True)
    with pytest.raises(RuntimeError, match="the copy failed"):
        _fail(loops, image, folder)
    with loops.attached(image) as device:
        assert _copy_out(device, folder) == FILES
    kept = loops.attach_kept(image)
    assert _copy_out(kept, folder) == FILES
    by_losetup(image)
    loops.release_all(image.stem, unmount=True)
    assert oracle.bound_devices(image) == []
    assert oracle.sha256(image) == before
    loops.release_all(image.stem, unmount=True)
    image.unlink()


def test_a_medium_leaves_no_device(loops: Loops, tmp_path: Path) -> None:
    """A medium taken through attach, mount, failure, retry and archive leaves neither a device nor a record."""
    _process(loops, _medium(tmp_path), tmp_path)
    assert oracle.bound_below(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_several_media_leave_nothing(loops: Loops, tmp_path: Path) -> None:
    """Several media in sequence leave nothing, and nothing of them is listed as deleted."""
    for _ in range(4):
        _process(loops, _medium(tmp_path), tmp_path)
    assert oracle.bound_below(tmp_path) == []
    assert _listed_as_deleted(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("by", ["id", "path"])
@pytest.mark.parametrize("known", [False, True])
def test_17_devices_of_losetup_are_all_gone(loops: Loops, tmp_path: Path, by: str, *, known: bool) -> None:
    """17 devices that `losetup -f --show -r -P` made, some on the image after it was deleted, go by one release_all.

    Whether the library has ever seen the medium, or not.
    """
    image = _medium(tmp_path)
    if known:
        loops.attach_kept(image)
    devices = [by_losetup(image) for _ in range(LEFT_OVER - 5)]
    with image.open("rb") as still_open:
        image.unlink()
        devices += [by_losetup(_by_descriptor(still_open.fileno()), "-r", "-P") for _ in range(5)]
    assert len(set(devices)) == LEFT_OVER
    assert len(_listed_as_deleted(tmp_path)) == LEFT_OVER + known
    report = loops.release_all(image.stem if by == "id" else image, timeout=30)
    assert {one.device for one in report.released} >= set(devices)
    assert report.freed_bytes == SIZE_BYTES
    assert not any(map(is_bound, devices))
    assert _listed_as_deleted(tmp_path) == []


def _by_descriptor(number: int) -> Path:
    """Return the path by which another process opens a file of this one that is deleted."""
    return Path(f"/proc/{os.getpid()}/fd/{number}")


@pytest.mark.parametrize("scope", ["under", "system"])
def test_a_sweep_clears_the_list(loops: Loops, tmp_path: Path, scope: str) -> None:
    """After a sweep `losetup -l | grep deleted` shows nothing; it says how many bytes came back."""
    images = [_medium(tmp_path) for _ in range(3)]
    for image in images:
        for _ in range(5):
            by_losetup(image)
        loops.attach_kept(image)
        image.unlink()
    assert len(_listed_as_deleted(tmp_path)) == 3 * 6
    report = loops.sweep(system=True) if scope == "system" else loops.sweep(under=tmp_path)
    assert len(report.released) == 3 * 6
    assert report.freed_bytes == 3 * SIZE_BYTES
    assert _listed_as_deleted(tmp_path) == []


def test_a_mounted_one_is_left_alone_and_named(loops: Loops, tmp_path: Path) -> None:
    """One that is mounted is neither detached nor armed by a release or a sweep: both name the mount; the rest goes."""
    image = _medium(tmp_path)
    devices = [by_losetup(image) for _ in range(4)]
    device = loops.attach_kept(image)
    with mounted(device.path, tmp_path / "mnt", "-o", "ro") as point:
        image.unlink()
        with pytest.raises(DeviceBusyError, match=str(point)) as caught:
            loops.release_all(image.stem, timeout=1)
        assert {one.device for one in caught.value.report.released} == set(devices)
        (kept,) = loops.sweep(system=True).kept
        assert (kept.device, kept.reason, [one.where for one in kept.holders]) == (str(device), "in use", [str(point)])
        assert autoclear(device) == "0"
        assert (point / "letter.txt").read_bytes() == FILES["letter.txt"]
    assert is_bound(device)
    assert [one.device for one in loops.sweep().released] == [str(device)]
    assert _listed_as_deleted(tmp_path) == []


def test_the_space_comes_back(loops: Loops, tmp_path: Path) -> None:
    """The file system gets the image's space back with the release, not before."""
    with mounted("none", tmp_path / "disk", "-t", "tmpfs", "-o", "size=16m") as disk:
        image = disk / f"{new_hash()}.img"
        image.write_bytes(b"x" * (8 * SIZE_BYTES))
        for _ in range(3):
            by_losetup(image)
        image.unlink()
        assert _used_bytes(disk) >= 8 * SIZE_BYTES
        assert loops.release_all(image.stem).freed_bytes == 8 * SIZE_BYTES
        assert _used_bytes(disk) < SIZE_BYTES


def _used_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize
