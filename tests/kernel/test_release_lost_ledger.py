"""Without a usable ledger the devices are found all the same: by their tags, and by inode."""

from __future__ import annotations

import contextlib
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, LedgerError, Loops
from tests.support import oracle
from tests.support.forked import forks
from tests.support.media import autoclear, by_losetup, is_bound, new_id, new_image
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import LoopDevice


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The ledger folder."""
    return tmp_path / "run"


@pytest.fixture
def loops(run_dir: Path) -> Loops:
    """The library, with that folder."""
    return Loops(run_dir)


def _remove_file(run_dir: Path) -> None:
    next(run_dir.iterdir()).unlink()


def _empty(run_dir: Path) -> None:
    os.truncate(next(run_dir.iterdir()), 0)


def _tear(run_dir: Path) -> None:
    file = next(run_dir.iterdir())
    os.truncate(file, file.stat().st_size - 20)


def _overwrite(run_dir: Path) -> None:
    next(run_dir.iterdir()).write_bytes(b"\0\xff no ledger\n" * 40)


def _change_a_line(run_dir: Path) -> None:
    file = next(run_dir.iterdir())
    file.write_bytes(file.read_bytes().replace(b'"event":"attached"', b'"event":"invented"'))


def _write_a_newer_format(run_dir: Path) -> None:
    file = next(run_dir.iterdir())
    file.write_bytes(file.read_bytes().replace(b'{"ntt_loops_ledger":1', b'{"ntt_loops_ledger":9'))


def _remove_folder(run_dir: Path) -> None:
    shutil.rmtree(run_dir)


def _replace_folder(run_dir: Path) -> None:
    shutil.rmtree(run_dir)
    run_dir.mkdir(mode=0o700)


def _let_others_write(run_dir: Path) -> None:
    run_dir.chmod(0o777)


def _plant_a_symlink(run_dir: Path) -> None:
    file = next(run_dir.iterdir())
    file.rename(run_dir.parent / "elsewhere")
    file.symlink_to(run_dir.parent / "elsewhere")


LOSSES = [
    _remove_file,
    _empty,
    _tear,
    _overwrite,
    _change_a_line,
    _write_a_newer_format,
    _remove_folder,
    _replace_folder,
    _let_others_write,
    _plant_a_symlink,
]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("medium", ["short", "long"])
def test_kept_devices_are_released_by_id(
    loops: Loops, tmp_path: Path, run_dir: Path, lose: Callable[[Path], None], medium: str
) -> None:
    """Whatever became of the ledger, a release by id finds the kept devices, and losetup's of the same image."""
    name = new_id() if medium == "short" else f"{new_id()} {'x' * 60}"
    image = new_image(tmp_path)
    made = [str(loops.attach_kept(image, medium=name)) for _ in range(2)] + [by_losetup(image)]
    lose(run_dir)
    report = loops.release_all(name)
    assert sorted(one.device for one in report.released) == sorted(made)
    assert not oracle.bound_devices(image)


@pytest.mark.parametrize("lose", LOSSES)
def test_kept_devices_are_released_one_by_one(
    loops: Loops, tmp_path: Path, run_dir: Path, lose: Callable[[Path], None]
) -> None:
    """The same for release(device)."""
    device = loops.attach_kept(new_image(tmp_path))
    lose(run_dir)
    loops.release(device)
    assert not is_bound(device)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_with_block_ends(loops: Loops, tmp_path: Path, run_dir: Path, lose: Callable[[Path], None]) -> None:
    """The same for the end of a with block: its device goes, and it is no error."""
    with loops.attached(new_image(tmp_path)) as device:
        lose(run_dir)
    assert not is_bound(device)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_living_block_keeps_its_device(
    loops: Loops, tmp_path: Path, run_dir: Path, lose: Callable[[Path], None]
) -> None:
    """A with block of another process, whose record was lost, keeps its device: its process is the holder."""
    image = new_image(tmp_path)

    def hold(say: Callable[[object], None]) -> None:
        with loops.attached(image) as device:
            say(device)
            while not (tmp_path / "enough").exists():
                pass

    with forks() as start:
        child = start(hold)
        device = child.hear()
        lose(run_dir)
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image.stem, timeout=0.1)
        assert {one.pid for one in caught.value.holders} == {child.pid}
        assert oracle.bound_devices(image) == [str(device)]
        assert autoclear(device) == "1"
        (tmp_path / "enough").touch()
        child.hear()
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the block ends")


def test_a_corrupt_file_is_set_aside_and_told(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A ledger that cannot be read is kept under another name, and the report says so."""
    image = new_image(tmp_path)
    loops.attach_kept(image)
    _overwrite(run_dir)
    report = loops.release_all(image.stem)
    (aside,) = run_dir.iterdir()
    assert ".aside-" in aside.name
    assert str(aside) in report.problems[0]


def test_an_unknown_format_is_left_as_it_is(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A ledger of another version is LedgerError at an attach, which leaves nothing; no byte of it is changed."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    _write_a_newer_format(run_dir)
    before = next(run_dir.iterdir()).read_bytes()
    for attach in (loops.attach_kept, _enter(loops)):
        with pytest.raises(LedgerError):
            attach(image)
    assert oracle.bound_devices(image) == [str(device)]
    assert [one.found_by for one in loops.release_all(image.stem).released] == ["tag"]
    assert next(run_dir.iterdir()).read_bytes() == before


def test_a_read_only_run_dir(tmp_path: Path) -> None:
    """On a read-only /run an attach is LedgerError and leaves nothing; a release works, and tells of the problem."""
    image = new_image(tmp_path)
    with mounted("none", tmp_path / "mnt", "-t", "tmpfs") as folder:
        loops = Loops(folder / "run")
        made = [str(loops.attach_kept(image)) for _ in range(2)]
        oracle.run("mount", "-o", "remount,ro", folder)
        with pytest.raises(LedgerError):
            loops.attach_kept(image)
        report = loops.release_all(image.stem)
        assert sorted(one.device for one in report.released) == sorted(made)
        assert report.problems != ()
    assert not oracle.bound_devices(image)


def test_a_full_run_dir(tmp_path: Path) -> None:
    """On a full /run an attach is LedgerError and leaves nothing, in either form; what is attached is released."""
    image = new_image(tmp_path)
    with mounted("none", tmp_path / "mnt", "-t", "tmpfs", "-o", "size=64k") as folder:
        loops = Loops(folder / "run")
        device = loops.attach_kept(image)
        _fill(folder)
        for attach in (loops.attach_kept, _enter(loops)):
            with pytest.raises(LedgerError, match="No space left"):
                attach(image, medium=new_id())
            only_that = partial(_is_all_that_is_bound, image, device)  # a scanner may have had the other one open
            oracle.wait_until(only_that, f"nothing but {device} is bound to {image}")
        assert [one.device for one in loops.release_all(image.stem).released] == [str(device)]
    assert not oracle.bound_devices(image)


def _is_all_that_is_bound(image: Path, device: LoopDevice) -> bool:
    return oracle.bound_devices(image) == [str(device)]


def _enter(loops: Loops) -> Callable[..., LoopDevice]:
    return lambda image, medium=None: loops.attached(image, medium=medium).__enter__()


def _fill(folder: Path) -> None:
    """Write until the file system is full."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
