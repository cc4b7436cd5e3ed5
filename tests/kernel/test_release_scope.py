"""An id means the whole medium, a path that file alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MediumError
from tests.support import rawloop
from tests.support.media import by_losetup, is_bound, new_id, new_image

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import ReleaseReport


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two images of the same name, so of the same id, in two folders."""
    name = f"{new_id()}.img"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    images = [new_image(tmp_path / folder).rename(tmp_path / folder / name) for folder in ("a", "b")]
    return images[0], images[1]


def _released(report: ReleaseReport) -> list[tuple[str, str]]:
    return sorted((one.device, one.found_by) for one in report.released)


def test_an_id_is_all_images_of_it(loops: Loops, two: tuple[Path, Path]) -> None:
    """By the id, devices of both images go, and those that losetup made for either of them."""
    kept = [str(loops.attach_kept(image)) for image in two]
    foreign = [by_losetup(image) for image in two]
    report = loops.release_all(two[0].stem)
    expected = [*((device, "ledger") for device in kept), *((device, "inode") for device in foreign)]
    assert _released(report) == sorted(expected)
    assert report.left == ()


@pytest.mark.parametrize("form", [os.fspath, lambda path: path, os.path.relpath])
def test_a_path_is_that_file_alone(
    loops: Loops, two: tuple[Path, Path], form: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a path - an os.PathLike, a str with a slash, a relative one - the other image stays and is told as left."""
    monkeypatch.chdir(tmp_path)
    assert callable(form)
    first, second = [loops.attach_kept(image) for image in two]
    report = loops.release_all(form(two[0]))
    assert _released(report) == [(str(first), "inode")]
    assert [(one.device, one.image) for one in report.left] == [(str(second), two[1])]
    assert is_bound(second)
    assert _released(loops.release_all(two[0].stem)) == [(str(second), "ledger")]


def test_a_path_is_any_medium_id(loops: Loops, tmp_path: Path) -> None:
    """By a path go all devices of the file, under whatever ids they were attached, and off their ledgers."""
    image = new_image(tmp_path)
    made = [str(loops.attach_kept(image, medium=medium)) for medium in (None, new_id(), f"{new_id()} {'x' * 80}")]
    assert [device for device, _ in _released(loops.release_all(image))] == sorted(made)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_path_of_a_deleted_file(loops: Loops, tmp_path: Path) -> None:
    """By its path go the devices of a file that was deleted, also where another file stands there by now."""
    image = new_image(tmp_path)
    devices = {str(loops.attach_kept(image)), by_losetup(image)}
    image.unlink()
    new_image(tmp_path).rename(image)
    devices.add(by_losetup(image))
    assert {device for device, _ in _released(loops.release_all(image))} == devices


def test_a_hard_link_is_the_same_file(loops: Loops, tmp_path: Path) -> None:
    """By the path of one hard link go devices that were attached by another."""
    image = new_image(tmp_path)
    link = tmp_path / f"{new_id()}.img"
    link.hardlink_to(image)
    devices = {str(loops.attach_kept(image)), by_losetup(image)}
    assert {device for device, _ in _released(loops.release_all(link))} == devices


def test_a_symlink_is_followed(loops: Loops, tmp_path: Path) -> None:
    """An image attached by a symlink is of the symlink's id, and goes by that, by its path and by the file's."""
    (tmp_path / "far").mkdir()
    image = new_image(tmp_path / "far")
    link = tmp_path / f"{new_id()}.img"
    link.symlink_to(image)
    for target in (link.stem, link, image):
        device = loops.attach_kept(link)
        assert device.medium == link.stem
        foreign = by_losetup(link)
        assert {one for one, _ in _released(loops.release_all(target))} == {str(device), foreign}


def test_a_symlink_to_a_deleted_file(loops: Loops, tmp_path: Path) -> None:
    """By a symlink that dangles go the devices of the file that it led to; so they do by a symlinked folder."""
    (tmp_path / "far").mkdir()
    image = new_image(tmp_path / "far")
    (tmp_path / "folder").symlink_to("far")
    (tmp_path / "link").symlink_to(image)
    devices = [by_losetup(image) for _ in range(2)]
    with rawloop.opened(image):
        image.unlink()
        assert len(loops.release_all(tmp_path / "link").released) == 2
    image = new_image(tmp_path / "far")
    devices = [by_losetup(tmp_path / "folder" / image.name)]
    image.unlink()
    assert [one.device for one in loops.release_all(tmp_path / "folder" / image.name).released] == devices


def test_a_bare_name_of_a_file_is_refused(loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A str without a slash that names a file here, but no known medium, is ValueError and releases nothing."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"write './{image.name}'") as caught:
        loops.release_all(image.name)
    assert isinstance(caught.value, MediumError)
    assert is_bound(device)
    assert len(loops.release_all(f"./{image.name}").released) == 1


def test_a_bare_name_that_is_a_medium_and_a_file_is_the_medium(
    loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known medium's id is the medium, though a file of that name lies here."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image, medium=image.name)
    monkeypatch.chdir(tmp_path)
    assert [one.device for one in loops.release_all(image.name).released] == [str(device)]


@pytest.mark.parametrize("medium", ["", ".", "..", "a\0b"])
def test_what_cannot_be_an_id_is_refused(loops: Loops, medium: str) -> None:
    """An id that is empty, a dot, two dots, or holds NUL is MediumError."""
    with pytest.raises(MediumError):
        loops.release_all(medium)


def test_nothing_known_is_no_error(loops: Loops, tmp_path: Path) -> None:
    """An id that nobody knows, and the path of a file that was never there, release nothing, again and again."""
    for target in (new_id(), tmp_path / "never.img", new_image(tmp_path)):
        for _ in range(2):
            report = loops.release_all(target)
            assert (report.released, report.already_gone, report.left, report.problems) == ((), (), (), ())
