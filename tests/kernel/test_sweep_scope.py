"""Whose orphans a sweep takes: ours by default, those below a folder, or all of the host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._medium import attempt
from tests.support import oracle, rawloop
from tests.support.kernels import FencedKernel
from tests.support.media import Attached, by_attach_kept, by_losetup, is_bound, new_hash, new_image

if TYPE_CHECKING:
    from pathlib import Path

SIZE_BYTES = 64 * 1024


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 5.0)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _orphan(folder: Path, *options: str) -> Attached:
    """Attach as others do, and delete the image."""
    folder.mkdir(exist_ok=True)
    image = new_image(folder, size_bytes=SIZE_BYTES)
    device = by_losetup(image, *options)
    image.unlink()
    return device


def _own_orphan(loops: Loops, folder: Path, **options: object) -> Attached:
    image = new_image(folder, size_bytes=SIZE_BYTES)
    device = by_attach_kept(loops, image, **options)
    image.unlink()
    return device


def test_by_default_ours_only(loops: Loops, tmp_path: Path) -> None:
    """A sweep takes orphans that this ledger or its tags know, and leaves those of others and of other folders."""
    on_record = _own_orphan(loops, tmp_path)
    tagged = _own_orphan(loops, tmp_path, medium="by-its-tag")
    (tmp_path / "run" / "by-its-tag.jsonl").unlink()
    other = Loops(tmp_path / "other-run", FencedKernel(tmp_path))
    others = [_orphan(tmp_path), _own_orphan(other, tmp_path)]
    report = loops.sweep()
    assert sorted((one.device, one.found_by) for one in report.released) == sorted(
        [(on_record, "ledger"), (tagged, "tag")]
    )
    assert report.freed_bytes == 2 * SIZE_BYTES
    assert all(map(is_bound, others))
    assert list((tmp_path / "run").iterdir()) == []
    assert len(other.sweep(system=True).released) == 2


def test_a_living_image_stays(loops: Loops, tmp_path: Path) -> None:
    """A kept attachment whose image is there is no orphan; neither is that of others, in any scope."""
    kept = loops.attach_kept(new_image(tmp_path))
    with rawloop.attach(new_image(tmp_path)) as foreign:
        foreign.close()
        report = loops.sweep(under=tmp_path, system=True)
        assert report.released == ()
        assert [(one.device, one.reason) for one in report.kept] == [(str(kept), "image exists")]
        assert foreign.is_attached()
    loops.release(kept)


@pytest.mark.parametrize("form", ["path", "str", "slash", "relative", "list", "symlink"])
def test_under_a_folder(loops: Loops, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`under` takes a path, a str, several, relative or by a symlink; what lay beside the folder stays."""
    folder = tmp_path / "images"
    inside = [_orphan(folder), _orphan(folder, "-P"), _orphan(folder / "deeper")]
    beside = [_orphan(tmp_path), _orphan(tmp_path / "images2")]
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    forms: dict[str, object] = {
        "path": folder,
        "str": str(folder),
        "slash": f"{folder}/",
        "relative": "images",
        "list": [folder, str(tmp_path / "nothing here")],
        "symlink": tmp_path / "link",
    }
    report = loops.sweep(under=forms[form])  # type: ignore[arg-type]
    assert report.kept == ()
    assert sorted(one.device for one in report.released) == sorted(inside)
    assert {one.found_by for one in report.released} == {"deleted"}
    assert report.freed_bytes == 3 * SIZE_BYTES
    assert all(map(is_bound, beside))
    assert len(loops.sweep(under=tmp_path).released) == len(beside)


def test_under_a_folder_that_was_deleted(loops: Loops, tmp_path: Path) -> None:
    """Orphans below a folder that is gone are swept by its path."""
    folder = tmp_path / "images"
    device = _orphan(folder)
    folder.rmdir()
    assert [one.device for one in loops.sweep(under=folder).released] == [device]


def test_several_folders(loops: Loops, tmp_path: Path) -> None:
    """`under` takes a generator of folders, str and path mixed."""
    devices = [_orphan(tmp_path / name) for name in ("a", "b", "c")]
    folders = (os.fspath(tmp_path / name) if name == "a" else tmp_path / name for name in ("a", "b"))
    assert sorted(one.device for one in loops.sweep(under=folders).released) == sorted(devices[:2])
    assert is_bound(devices[2])
    loops.sweep(under=tmp_path)


def test_the_whole_host(loops: Loops, tmp_path: Path) -> None:
    """`system=True` takes everybody's orphans, wherever the image lay."""
    other = Loops(tmp_path / "other-run")
    devices = [
        _orphan(tmp_path),
        _orphan(tmp_path / "a", "-P"),
        _own_orphan(other, tmp_path),
        _own_orphan(loops, tmp_path),
    ]
    report = loops.sweep(system=True)
    assert sorted(one.device for one in report.released) == sorted(devices)
    assert not any(map(is_bound, devices))
    assert not [row for row in oracle.losetup_list("NAME,BACK-FILE") if str(tmp_path) in (row["back-file"] or "")]


def test_several_devices_of_one_orphan_free_its_bytes_once(loops: Loops, tmp_path: Path) -> None:
    """Of a deleted image with many devices, ours and others', the size came back once."""
    image = new_image(tmp_path, size_bytes=SIZE_BYTES).rename(tmp_path / f"{new_hash()}.img")
    for _ in range(3):
        loops.attach_kept(image)
        by_losetup(image)
    image.unlink()
    report = loops.sweep(system=True)
    assert (len(report.released), report.freed_bytes) == (6, SIZE_BYTES)


def test_a_second_sweep_finds_nothing(loops: Loops, tmp_path: Path) -> None:
    """Swept is swept: at once again there is nothing to tell."""
    _own_orphan(loops, tmp_path)
    loops.sweep(system=True)
    report = loops.sweep(system=True)
    assert (report.released, report.kept, report.forgotten, report.adopted, report.problems) == ((), (), (), (), ())
