"""What happens to the image while it is attached does not keep the device from going."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle, rawloop
from tests.support.media import by_losetup, is_bound, new_image
from tests.support.needs import require_tool
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ntt_loops import Loops


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    with mounted("none", tmp_path / "other", "-t", "tmpfs") as folder:
        yield folder


def _delete(image: Path, _: Path) -> None:
    image.unlink()


def _rename(image: Path, _: Path) -> None:
    image.rename(image.with_name("renamed.img"))


def _move(image: Path, other: Path) -> None:
    shutil.move(image, other)


def _replace(image: Path, _: Path) -> None:
    new_image(image.parent).replace(image)


def _delete_folder(image: Path, _: Path) -> None:
    shutil.rmtree(image.parent)


CHANGES = [_delete, _rename, _move, _replace, _delete_folder]


@pytest.mark.parametrize("change", CHANGES)
def test_the_block_detaches(loops: Loops, tmp_path: Path, other: Path, change: Callable[[Path, Path], None]) -> None:
    """The exit detaches whatever became of the image's name."""
    (tmp_path / "images").mkdir()
    image = new_image(tmp_path / "images")
    found = image.stat()
    with loops.attached(image) as device:
        change(image, other)
        assert oracle.devices_of(found.st_dev, found.st_ino) == [str(device)]
    assert not is_bound(device)


@pytest.mark.parametrize("by", ["device", "id", "path"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_kept_device_is_released(
    loops: Loops, tmp_path: Path, other: Path, change: Callable[[Path, Path], None], by: str
) -> None:
    """A kept device is released by itself and by the medium's id; by its path where that is what was deleted."""
    (tmp_path / "images").mkdir()
    image = new_image(tmp_path / "images")
    device = loops.attach_kept(image)
    change(image, other)
    if by == "device":
        loops.release(device)
    elif by == "path" and change is not _rename:
        assert [one.device for one in loops.release_all(image).released] == [str(device)]
    else:
        assert [one.device for one in loops.release_all(image.stem).released] == [str(device)]
    assert not is_bound(device)


def test_an_image_that_was_renamed_is_another_path(loops: Loops, tmp_path: Path) -> None:
    """By its old path a renamed image is not released: that is no deleted file; by its new one it is."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    renamed = image.rename(tmp_path / new_image(tmp_path).name)
    report = loops.release_all(image)
    assert report.released == ()
    assert [one.image for one in report.left] == [renamed]
    assert is_bound(device)
    assert [one.device for one in loops.release_all(renamed).released] == [str(device)]


@contextmanager
def _overlay(folder: Path) -> Iterator[Path]:
    for name in ("lower", "upper", "work"):
        (folder / name).mkdir()
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    with mounted("none", folder / "mnt", "-t", "overlay", "-o", options) as mount_point:
        yield mount_point


@contextmanager
def _xfs(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(320 * 1024 * 1024)
    oracle.run(require_tool("mkfs.xfs"), "-q", disk)
    with rawloop.attach(disk, writable=True) as loop, mounted(loop.node, folder / "mnt") as mount_point:
        yield mount_point


@pytest.mark.parametrize("file_system", [_overlay, _xfs])
def test_on_another_file_system_it_is_found_by_inode(
    loops: Loops, tmp_path: Path, file_system: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    """On overlayfs and XFS a device made by losetup is found by its image's inode, and after the unlink by its path."""
    with file_system(tmp_path) as folder:
        image = new_image(folder)
        living, deleted = by_losetup(image), by_losetup(new_image(folder))
        deleted_image = next(path for path in folder.glob("disk-*") if path != image)
        deleted_image.unlink()
        assert [(one.device, one.found_by) for one in loops.release_all(image).released] == [(living, "inode")]
        assert [(one.device, one.found_by) for one in loops.release_all(deleted_image).released] == [(deleted, "path")]
