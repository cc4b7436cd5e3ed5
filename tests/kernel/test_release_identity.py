"""A number, an inode, a name that has been used again is somebody else's, and is not touched."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle, rawloop
from tests.support.kernels import PinnedKernel
from tests.support.media import is_bound, new_hash, new_id, new_image
from tests.support.rig import filled, mounted, private_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops import LoopDevice


@pytest.fixture
def number() -> Iterator[int]:
    """A loop number that only this test uses."""
    with private_number() as made:
        yield made


@pytest.fixture
def loops(tmp_path: Path, number: int) -> Loops:
    """The library, which attaches to that number."""
    return Loops(tmp_path / "run", PinnedKernel({number: rawloop.node(number)}))


def _detach_as_others(device: LoopDevice) -> None:
    oracle.losetup_detach(str(device))
    oracle.wait_until(lambda: not is_bound(device), "losetup detaches it")


def test_a_stale_device_is_not_the_next_one_of_its_number(loops: Loops, tmp_path: Path, number: int) -> None:
    """The release of a device whose number went to another image does nothing, and is no error."""
    device = loops.attach_kept(new_image(tmp_path))
    _detach_as_others(device)
    with rawloop.attach(new_image(tmp_path), number=number) as stranger:
        stranger.close()
        loops.release(device)
        assert stranger.is_attached()
        assert loops.release_all(device.medium).released == ()
        assert stranger.is_attached()


def test_a_stale_device_is_not_the_next_one_of_its_image(loops: Loops, tmp_path: Path) -> None:
    """The same image attached again on the same number is another attachment: a stale device does not release it."""
    image = new_image(tmp_path)
    first = loops.attach_kept(image)
    loops.release(first)
    second = loops.attach_kept(image)
    assert (first.number, first == second) == (second.number, False)
    loops.release(first)
    assert oracle.bound_devices(image) == [str(second)]
    loops.release(second)
    assert not is_bound(second)


def test_a_stale_device_is_told_as_gone_and_off_the_ledger(loops: Loops, tmp_path: Path, number: int) -> None:
    """The record of an attachment that others ended is taken off; what is on its number now is not."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    _detach_as_others(device)
    with rawloop.attach(new_image(tmp_path), number=number) as stranger:
        stranger.close()
        report = loops.release_all(image.stem)
        assert [(one.device, one.image) for one in report.already_gone] == [(str(device), image)]
        assert stranger.is_attached()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_block_whose_device_was_taken_leaves_the_next_one(loops: Loops, tmp_path: Path, number: int) -> None:
    """A with block whose device others detached and used again ends without an error, and takes nothing."""
    attachment = loops.attached(new_image(tmp_path))
    attachment.__enter__()
    held = attachment._binding
    assert held is not None
    held.handle.close()  # as though its storage had been pulled: AUTOCLEAR detaches it
    oracle.wait_until(lambda: not rawloop.is_bound(number), "the kernel detaches it")
    with rawloop.attach(new_image(tmp_path), number=number) as stranger:
        attachment.close()
        stranger.close()
        assert stranger.is_attached()


def test_a_pickled_device_is_released(loops: Loops, tmp_path: Path) -> None:
    """A device that was handed on by pickle is released, and is equal to what it was."""
    device = loops.attach_kept(new_image(tmp_path))
    copy = pickle.loads(pickle.dumps(device))  # noqa: S301 - its own bytes
    assert copy == device
    assert copy.partitions == ()
    loops.release(copy)
    assert not is_bound(device)


def test_an_inode_that_was_used_again_is_another_image(loops: Loops, tmp_path: Path) -> None:
    """A record of a deleted image whose inode another image has by now does not make that one the medium's."""
    image = new_image(tmp_path)
    inode = image.stat().st_ino
    device = loops.attach_kept(image)
    _detach_as_others(device)
    image.unlink()
    other = _image_with_inode(tmp_path, inode)
    with rawloop.attach(other) as stranger:
        stranger.close()
        assert loops.release_all(image.stem).released == ()
        assert loops.release_all(image).released == ()
        assert stranger.is_attached()


def _image_with_inode(folder: Path, inode: int) -> Path:
    for _ in range(2_000):
        image = new_image(folder)
        if image.stat().st_ino == inode:
            return image
    pytest.skip("this file system did not use the inode again")


def test_another_ledger_folders_devices_are_found_by_tag(tmp_path: Path) -> None:
    """Kept devices of another ledger folder are the medium's by their tag; that folder is told by its next release."""
    first, second = Loops(tmp_path / "first"), Loops(tmp_path / "second")
    image = new_image(tmp_path).rename(tmp_path / f"{new_hash()}.img")
    device = first.attach_kept(image)
    assert [(one.device, one.found_by) for one in second.release_all(image.stem).released] == [(str(device), "tag")]
    assert [one.device for one in first.release_all(image.stem).already_gone] == [str(device)]


def test_a_tag_is_compared_whole(tmp_path: Path) -> None:
    """A tag whose medium only begins with the id, or is another's in another case, is not the medium's."""
    loops = Loops(tmp_path / "run")
    medium = new_hash()
    others = [loops.attach_kept(new_image(tmp_path), medium=name) for name in (f"{medium}0", medium[:-1], f"x{medium}")]
    os.truncate(loops._world().ledger.run_dir / f"{medium}0.jsonl", 0)
    assert loops.release_all(medium).released == ()
    assert all(is_bound(device) for device in others)
    for device in others:
        loops.release(device)


@pytest.mark.parametrize("hangs", [False, True])
def test_the_same_path_below_another_mount_is_another_image(
    loops: Loops, tmp_path: Path, mocker: MockerFixture, *, hangs: bool
) -> None:
    """A device whose path is that of our image, but whose image lies below the mount, stays: on remote storage, too."""
    folder = tmp_path / "folder"
    folder.mkdir()
    covered = new_image(folder)
    device = loops.attach_kept(covered, medium=new_id())
    mocker.patch.object(PinnedKernel, "may_hang", lambda _, paths: [hangs] * len(paths))
    with mounted("none", folder, "-t", "tmpfs"):
        filled(covered)
        assert rawloop.backing_file(device.number) == os.fsencode(covered)
        assert loops.release_all(covered).released == ()
        assert is_bound(device)
    loops.release_all(covered)
    assert not is_bound(device)
