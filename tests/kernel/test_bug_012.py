"""BUG-012: devices that runs left behind, their disk space gone with them. Its own conditions of success."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import new_hash
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the report counted for one medium.
LEFT_BEHIND = 17


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image named by a hash, with a file system."""
    return make_image(tmp_path / f"{new_hash()}.img", files={"letter.txt": b"evidence"})


@pytest.fixture
def left_behind(image: Path) -> Iterator[list[str]]:
    """Devices that earlier runs made and did not detach, some before the image was deleted and made anew."""
    text = image.read_bytes()
    before = [oracle.losetup_attach(image) for _ in range(LEFT_BEHIND // 2)]
    image.unlink()
    image.write_bytes(text)
    after = [oracle.losetup_attach(image) for _ in range(LEFT_BEHIND - len(before))]
    yield before + after
    for device in oracle.bound_below(image.parent):
        oracle.losetup_detach(device)


def grep_deleted(folder: Path) -> list[str]:
    """Return what ``losetup -l | grep deleted`` prints of a folder's images."""
    listing = subprocess.run(["losetup", "-l"], capture_output=True, text=True, check=True, errors="replace").stdout
    return [line for line in listing.splitlines() if "(deleted)" in line and str(folder) in line]


def copy_out(loops: Loops, image: Path, folder: Path, *, fails: bool = False) -> bytes:
    """Run the stages of a medium: attach, mount, copy a file."""
    with loops.attached(image) as device, mounted(device.path, folder, "-o", "ro,noload"):
        text = (folder / "letter.txt").read_bytes()
        if fails:
            message = "the disk for the copies is full"
            raise OSError(message)
    return text


def archive(loops: Loops, image: Path) -> None:
    """Do what the archiver does: release, pack, release, unlink."""
    loops.release_all(image.stem, unmount=True)
    image.with_suffix(".tar").write_bytes(image.read_bytes())
    loops.release_all(image)
    image.unlink()


def test_a_medium_that_failed_and_was_repeated_leaves_no_device(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Attach, mount, failure, retry, archive: the copy is right, and no device of the image is left at any step."""
    with pytest.raises(OSError, match="full"):
        copy_out(loops, image, tmp_path / "mnt", fails=True)
    assert oracle.bound_to_path(image) == []
    assert copy_out(loops, image, tmp_path / "mnt") == b"evidence"
    archive(loops, image)
    assert oracle.bound_to_path(image) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_17_devices_of_earlier_runs_go_with_one_call(loops: Loops, image: Path, left_behind: list[str]) -> None:
    """Made by losetup, half of them holding a deleted image: release_all by the id finds and detaches them all."""
    assert len(grep_deleted(image.parent)) == LEFT_BEHIND // 2
    report = loops.release_all(image.stem)
    assert {one.device for one in report.released} == set(left_behind)
    assert len(report.released) == LEFT_BEHIND
    assert report.freed_bytes == image.stat().st_size
    assert oracle.bound_to_path(image) == []
    assert not any(oracle.partition_nodes(device) for device in left_behind)


def test_the_same_by_the_images_path(loops: Loops, image: Path, left_behind: list[str]) -> None:
    """By the path go the devices of the file there, and of deleted ones that were there."""
    assert {one.device for one in loops.release_all(image).released} == set(left_behind)
    assert oracle.bound_to_path(image) == []


def test_several_media_in_sequence_leave_nothing(loops: Loops, tmp_path: Path) -> None:
    """Three media, one after another, each with a failure: nothing is left below the folder."""
    for _ in range(3):
        image = make_image(tmp_path / f"{new_hash()}.img", files={"letter.txt": b"evidence"})
        with pytest.raises(OSError, match="full"):
            copy_out(loops, image, tmp_path / "mnt", fails=True)
        copy_out(loops, image, tmp_path / "mnt")
        archive(loops, image)
    assert oracle.bound_below(tmp_path) == []


def test_nothing_is_deleted_and_attached_after_a_sweep(loops: Loops, image: Path, left_behind: list[str]) -> None:
    """``losetup -l | grep deleted`` prints nothing of the folder after a sweep, and living images keep theirs."""
    living = set(oracle.bound_devices(image))
    report = loops.sweep(under=image.parent)
    assert {one.device for one in report.released} == set(left_behind) - living
    assert grep_deleted(image.parent) == []
    assert set(oracle.bound_to_path(image)) == living


def test_a_mounted_one_is_left_alone_and_named(
    loops: Loops, image: Path, left_behind: list[str], tmp_path: Path
) -> None:
    """While one of the 17 is mounted the other 16 go, it stays as it is, and the error names the mount point."""
    folder = tmp_path / "mnt"
    with mounted(left_behind[-1], folder, "-o", "ro,noload"):
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image.stem, timeout=0.3)
        assert str(folder) in {one.where for one in caught.value.holders}
        assert len(caught.value.report.released) == LEFT_BEHIND - 1
        assert oracle.bound_to_path(image) == [left_behind[-1]]
        assert (folder / "letter.txt").read_bytes() == b"evidence"
        (row,) = (row for row in oracle.losetup_list() if row["name"] == left_behind[-1])
        assert row["autoclear"] is False
    assert len(loops.release_all(image.stem).released) == 1
