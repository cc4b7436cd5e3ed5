"""The last resort, for hashes only: a device of others is a medium's by the exact name of its image."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.media import by_losetup, is_bound, new_hash, new_id, new_image

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import Loops


def _named(folder: Path, name: str) -> Path:
    return new_image(folder).rename(folder / name)


@pytest.mark.parametrize("name", ["{}", "{}.img", "{}.iso", "{}.a b", "{}."])
@pytest.mark.parametrize("deleted", [False, True])
def test_the_exact_name_is_the_mediums(loops: Loops, tmp_path: Path, name: str, *, deleted: bool) -> None:
    """An image named as the hash, with one suffix or none, in any folder, deleted or not, is the medium's."""
    medium = new_hash()
    image = _named(tmp_path, name.format(medium))
    device = by_losetup(image)
    if deleted:
        image.unlink()
    assert [(one.device, one.found_by) for one in loops.release_all(medium).released] == [(device, "name")]
    assert not is_bound(device)


def test_any_other_name_is_not(loops: Loops, tmp_path: Path) -> None:
    """Names that only hold the hash, begin or end with it, or are it in another case, are not the medium's."""
    medium = new_hash()
    names = ["{}.img.bak", "x{}.img", "{}x.img", " {}.img", "{} .img", "{}-1.img", ".{}", "{}.tar.gz", "{} (deleted)"]
    names = [name.format(medium) for name in names] + [f"{medium.upper()}.img", f"{medium[:-1]}.img"]
    (tmp_path / medium).mkdir()
    with ExitStack() as stack:
        images = [_named(tmp_path, name) for name in names] + [new_image(tmp_path / medium)]
        attached = [stack.enter_context(rawloop.attach(image)) for image in images]
        for one, image in zip(attached, images, strict=True):
            one.close()
            if image.suffix == ".bak":
                image.unlink()
        assert loops.release_all(medium).released == ()
        assert all(one.is_attached() for one in attached)


@pytest.mark.parametrize("medium", ["{id}", "20240131123456789", "0123456789abcde", "{hash}z", "floppy"])
def test_what_is_no_hash_is_never_matched_by_name(loops: Loops, tmp_path: Path, medium: str) -> None:
    """A word, a date, 15 digits, a hash with another letter: no image of that name is touched."""
    medium = medium.format(id=new_id(), hash=new_hash())
    with rawloop.attach(_named(tmp_path, f"{medium}.img")) as loop:
        loop.close()
        assert loops.release_all(medium).released == ()
        assert loop.is_attached()


def test_a_path_is_not_matched_by_name(loops: Loops, tmp_path: Path) -> None:
    """By a path, an image of the same name in another folder stays."""
    (tmp_path / "a").mkdir()
    name = f"{new_hash()}.img"
    image = _named(tmp_path, name)
    with rawloop.attach(_named(tmp_path / "a", name)) as loop:
        loop.close()
        device = by_losetup(image)
        assert [one.device for one in loops.release_all(image).released] == [device]
        assert loop.is_attached()


def test_a_living_image_that_is_named_deleted(loops: Loops, tmp_path: Path) -> None:
    """An image whose name ends in " (deleted)" is reported by that name, and no bytes came back for it."""
    image = _named(tmp_path, f"{new_id()} (deleted)")
    loops.attach_kept(image)
    (one,) = loops.release_all(image).released
    assert (one.image, one.freed_bytes) == (image, 0)


def test_an_image_that_came_back_frees_nothing(loops: Loops, tmp_path: Path) -> None:
    """An image that was unlinked, and linked again at its path, is there: no bytes came back for it."""
    image = new_image(tmp_path)
    second = tmp_path / "second"
    second.hardlink_to(image)
    loops.attach_kept(image)
    image.unlink()
    image.hardlink_to(second)
    (one,) = loops.release_all(image).released
    assert (one.image, one.freed_bytes) == (image, 0)


def test_a_deleted_image_frees_its_bytes_once(loops: Loops, tmp_path: Path) -> None:
    """Of a deleted image with three devices the size came back, once."""
    image = new_image(tmp_path, size_bytes=1024 * 1024)
    for _ in range(3):
        loops.attach_kept(image)
    image.unlink()
    report = loops.release_all(image)
    assert len(report.released) == 3
    assert report.freed_bytes == 1024 * 1024
