"""What looks deleted but is not, and the other way round."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._medium import attempt
from tests.support import oracle
from tests.support.features import require_diskseq
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, is_bound, new_id, new_image
from tests.support.rig import mounted
from tests.support.served import served

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 5.0)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _rename(image: Path) -> None:
    image.rename(image.with_name("renamed"))


def _rename_to_deleted(image: Path) -> None:
    image.rename(image.with_name(f"{image.name} (deleted)"))


def _link_again(image: Path) -> None:
    """Unlink it and let it come back from another hard link."""
    link = image.with_name("link")
    link.hardlink_to(image)
    image.unlink()
    image.hardlink_to(link)
    link.unlink()


def _link_beside(image: Path) -> None:
    image.with_name("link").hardlink_to(image)


def _exchange_folder(image: Path) -> None:
    image.parent.rename(image.parent.with_name("moved"))


@pytest.mark.parametrize(
    "change", [_rename, _rename_to_deleted, _link_again, _link_beside, _exchange_folder], ids=lambda one: one.__name__
)
def test_a_living_image_is_never_swept(loops: Loops, tmp_path: Path, change: Callable[[Path], None]) -> None:
    """An image that was renamed, linked, linked again or moved with its folder is there: no sweep takes its devices."""
    (tmp_path / "images").mkdir()
    image = new_image(tmp_path / "images")
    kept, foreign = loops.attach_kept(image), by_losetup(image)
    change(image)
    report = loops.sweep(under=tmp_path, system=True)
    assert report.released == ()
    assert [(one.device, one.reason) for one in report.kept] == [(str(kept), "image exists")]
    assert is_bound(kept)
    assert is_bound(foreign)
    loops.release_all(image.stem)
    assert not is_bound(foreign)


def test_one_that_is_named_deleted_and_then_is(loops: Loops, tmp_path: Path) -> None:
    """An image named "x (deleted)" is swept once it is deleted, and not before, whatever is named "x"."""
    image = new_image(tmp_path).rename(tmp_path / f"{new_id()} (deleted)")
    device = by_losetup(image)
    new_image(tmp_path).rename(tmp_path / image.name.removesuffix(" (deleted)"))
    assert loops.sweep(system=True).released == ()
    image.unlink()
    assert [(one.device, one.image) for one in loops.sweep(system=True).released] == [(device, image)]


@pytest.mark.parametrize("name", ["{}", "{} (deleted)"])
def test_another_file_at_its_path_does_not_hide_an_orphan(loops: Loops, tmp_path: Path, name: str) -> None:
    """A new file where the deleted image was, or named as sysfs shows it, does not keep the orphan from being swept."""
    image = new_image(tmp_path)
    device = by_losetup(image)
    image.unlink()
    new_image(tmp_path).rename(tmp_path / name.format(image.name))
    assert [one.device for one in loops.sweep(system=True).released] == [device]


def test_replaced_by_a_rename_is_deleted(loops: Loops, tmp_path: Path) -> None:
    """An image that another file was renamed over is deleted."""
    image = new_image(tmp_path)
    device = by_losetup(image)
    new_image(tmp_path).rename(image)
    assert [one.device for one in loops.sweep(system=True).released] == [device]


def test_a_path_that_became_impossible_is_unknown(loops: Loops, tmp_path: Path) -> None:
    """Where a folder of a deleted image's path is a file by now, nothing is known: it is kept, with that reason."""
    folder = tmp_path / "images"
    folder.mkdir()
    image = new_image(folder)
    device = by_losetup(image)
    shutil.rmtree(folder)
    folder.touch()
    (kept,) = loops.sweep(system=True).kept
    assert (kept.device, kept.reason) == (device, "deletion unknown")
    folder.unlink()
    assert len(loops.sweep(system=True).released) == 1


def test_a_mount_that_went_is_not_a_deletion(loops: Loops, tmp_path: Path) -> None:
    """An image whose file system was unmounted lazily is there: its devices are kept."""
    with mounted("none", tmp_path / "mnt", "-t", "tmpfs") as folder:
        image = new_image(folder)
        kept, foreign = loops.attach_kept(image), by_losetup(image)
        oracle.run("umount", "--lazy", folder)
        # What is left of its path in sysfs is below no folder.
        everywhere = Loops(tmp_path / "run", FencedKernel(tmp_path, Path("/", image.name)))
        assert everywhere.sweep(under=tmp_path).released == ()
        assert is_bound(kept)
        assert is_bound(foreign)
        everywhere.release_all(image.stem)
        assert not is_bound(kept)
        assert not is_bound(foreign)


def test_a_dead_file_server_is_not_a_deletion(loops: Loops, tmp_path: Path) -> None:
    """An image whose file server died may be there: its devices are kept, and all else is swept."""
    with served(tmp_path) as server:
        image, orphan = new_image(server.folder), new_image(tmp_path)
        stuck, swept = by_losetup(image), loops.attach_kept(orphan)
        orphan.unlink()
        server.kill()
        report = loops.sweep(system=True)
        assert [one.device for one in report.released] == [str(swept)]
        assert is_bound(stuck)


def test_a_dead_file_server_stops_no_release_of_another_medium(loops: Loops, tmp_path: Path) -> None:
    """A device whose file server died does not keep a release of another medium from its work."""
    with served(tmp_path) as server:
        image = new_image(tmp_path)
        stuck, device = by_losetup(new_image(server.folder)), loops.attach_kept(image)
        server.kill()
        for _ in range(2):
            loops.release_all(image.stem)
            loops.release_all(image)
        assert loops.list_media() == []
        assert not is_bound(device)
        assert is_bound(stuck)


def test_a_device_of_a_dead_file_server_can_be_released(loops: Loops, tmp_path: Path) -> None:
    """A kept device whose file server died is released, by its id and by itself.

    Where attachments have no number it stays: nothing tells it from another one.
    """
    require_diskseq()
    with served(tmp_path) as server:
        images = [new_image(server.folder) for _ in range(2)]
        by_id, by_itself = [loops.attach_kept(image) for image in images]
        server.kill()
        loops.release_all(images[0].stem)
        assert not is_bound(by_id)
        loops.release(by_itself)
        assert not is_bound(by_itself)
