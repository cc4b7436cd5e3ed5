"""What a user without any privilege can do to us: nothing; and what one puts in our way is not believed."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tenacity

from ntt_loops import LedgerError, LoopDevice, Loops, MediumError, NttLoopsError
from tests.support import oracle, rawloop
from tests.support.children import as_nobody, children
from tests.support.kernels import FencedKernel
from tests.support.media import autoclear, by_losetup, is_bound, new_image
from tests.support.rig import filled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.media import Attached

#: What an unprivileged child may not be able to import, as its interpreter may lie in root's home.
_IMPORTED_BEFORE = (tenacity,)
_NOBODY = 65534
SWAPS = 15


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder that everybody can write to, once there: the tests' own temporary folders let nobody through."""
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def device(tmp_path: Path, public: Path) -> LoopDevice:
    """A kept device of root's, with an image that everybody can read."""
    image = new_image(public)
    image.chmod(0o644)
    return Loops(tmp_path / "run").attach_kept(image)


def _name(call: Callable[[], object]) -> str:
    """Return the name of the error of ours that a call raises."""
    try:
        call()
    except NttLoopsError as error:
        return type(error).__name__
    return "none"


CALLS: dict[str, Callable[[Loops, LoopDevice], object]] = {
    "attached": lambda loops, device: loops.attached(device.image.name).__enter__(),
    "attach_kept": lambda loops, device: loops.attach_kept(device.image.name),
    "release": lambda loops, device: loops.release(device, timeout=0),
    "release_all of an id": lambda loops, device: loops.release_all(device.medium, timeout=0),
    "release_all of a path": lambda loops, device: loops.release_all(Path(device.image.name), timeout=0),
    "sweep": lambda loops, _: loops.sweep(system=True, kept_older_than=0, timeout=0),
    "list_media": lambda loops, _: loops.list_media(timeout=0),
}


@pytest.mark.parametrize("run_dir", ["own", "roots"])
@pytest.mark.parametrize("name", list(CALLS))
def test_without_privilege_each_call_is_refused(
    tmp_path: Path, public: Path, device: LoopDevice, name: str, run_dir: str
) -> None:
    """With a ledger folder of one's own as with that of root, and the device stays as it is."""
    with chdir(public):
        loops = Loops("own" if run_dir == "own" else tmp_path / "run")
        words = as_nobody(lambda: _name(lambda: CALLS[name](loops, device)))
    assert words in ("'LoopPermissionError'", "'LedgerError'")
    assert is_bound(device)
    assert autoclear(device) == "0"
    Loops(tmp_path / "run").release(device)


def test_the_ledger_is_closed_to_others(tmp_path: Path, device: LoopDevice) -> None:
    """Nobody else lists, reads, links, renames or removes a ledger, nor opens the node of a device."""
    ledger = next((tmp_path / "run").iterdir())
    before = ledger.read_bytes()
    with chdir(tmp_path / "run"):
        ways: list[Callable[[], object]] = [
            lambda: os.listdir("."),  # noqa: PTH208 - the system call
            lambda: os.open(ledger.name, os.O_RDONLY),
            lambda: os.open("new.jsonl", os.O_WRONLY | os.O_CREAT),
            lambda: os.link(ledger.name, "link"),
            lambda: os.rename(ledger.name, "moved"),  # noqa: PTH104 - the system call
            lambda: os.unlink(ledger.name),  # noqa: PTH108 - the system call
            lambda: os.open(device, os.O_RDONLY),
        ]
        assert [as_nobody(way) for way in ways] == ["EACCES"] * len(ways)
    assert ledger.read_bytes() == before
    Loops(tmp_path / "run").release(device)


def _forged(loops: Loops, medium: str, stranger: Attached, folder: Path) -> bytes:
    """Return a good ledger of a medium, as a real attach writes it, that names a stranger's device."""
    device = loops.attach_kept(new_image(folder), medium=medium)
    text = (loops._world().ledger.run_dir / f"{medium}.jsonl").read_bytes()
    loops.release(device)
    with rawloop.opened(stranger) as descriptor:
        status = rawloop.get_status(descriptor)
    for name, old, new in (
        ("number", device.number, status.number),
        ("diskseq", device.diskseq, stranger.diskseq),
        ("inode", device.image.stat().st_ino, status.inode),
    ):
        text = text.replace(f'"{name}":{old},'.encode(), f'"{name}":{new},'.encode())
    return text


@pytest.mark.parametrize("how", ["folder", "symlink to a folder of root's", "dangling symlink", "file"])
def test_a_planted_ledger_folder_is_not_believed(tmp_path: Path, public: Path, how: str) -> None:
    """Made by another user before we did: nothing is attached on its word, none released by it, nothing written."""
    stranger = by_losetup(new_image(tmp_path))
    text = _forged(Loops(tmp_path / "honest"), "planted", stranger, tmp_path)

    def plant() -> None:
        if how == "folder":
            Path("run").mkdir()
            Path("run/planted.jsonl").write_bytes(text)
        elif how == "file":
            Path("run").write_bytes(text)
        else:
            Path("run").symlink_to("../honest" if how.startswith("symlink") else "nowhere")

    with chdir(public):
        assert as_nobody(plant) == "None"
    loops = Loops(public / "run", FencedKernel(tmp_path))
    for way in (loops.attach_kept, lambda image: loops.attached(image).__enter__(), lambda _: loops.list_media()):
        with pytest.raises(LedgerError, match="nothing in it is believed"):
            way(new_image(tmp_path))
    report = loops.release_all("planted")
    assert report.released == ()
    assert "nothing in it is believed" in report.problems[0]
    assert loops.sweep(kept_older_than=0).released == ()
    assert is_bound(stranger)
    assert list((tmp_path / "honest").iterdir()) == []
    assert how != "folder" or (public / "run/planted.jsonl").read_bytes() == text
    oracle.losetup_detach(stranger)


def test_a_ledger_of_our_own_that_names_a_strangers_device(tmp_path: Path) -> None:
    """Written by root, even: the stranger's device has no tag of ours, so it stays."""
    stranger = by_losetup(new_image(tmp_path))
    loops = Loops(tmp_path / "run", FencedKernel(tmp_path))
    text = _forged(loops, "forged", stranger, tmp_path)
    (tmp_path / "run" / "forged.jsonl").write_bytes(text)
    assert loops.sweep(kept_older_than=0).released == ()
    (tmp_path / "run" / "forged.jsonl").write_bytes(text)
    assert loops.release_all("forged").released == ()
    assert is_bound(stranger)
    oracle.losetup_detach(stranger)


def test_an_image_that_is_swapped_all_the_while(tmp_path: Path, public: Path) -> None:
    """Its owner exchanges it again and again: what is attached is one of the two, and the ledger says which."""
    first, second, image = (filled(public / name, name.encode()) for name in ("1", "2", "image"))
    for path in (first, second, image):
        os.chown(path, _NOBODY, _NOBODY)
    inodes = {path.stat().st_ino for path in (first, second, image)}
    loops = Loops(tmp_path / "run", FencedKernel(tmp_path))

    def swap() -> None:
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        while True:
            for name in ("1", "2"):
                os.link(name, "next")
                os.rename("next", "image")  # noqa: PTH104 - the same

    with chdir(public), children() as start:
        start(swap)
        for _ in range(SWAPS):
            device = loops.attach_kept(image)
            with rawloop.opened(str(device)) as descriptor:
                status = rawloop.get_status(descriptor)
            [entry] = loops._world().ledger.peek("image")
            assert entry.inode == status.inode
            assert status.inode in inodes
            loops.release(device)


@pytest.mark.parametrize("medium", ["../outside", "/outside", "a/b", "..", ".", "", "a\0b"])
def test_an_id_is_no_path(tmp_path: Path, medium: str) -> None:
    """Neither way of attaching takes an id that would lead out of the ledger folder, and nothing is made."""
    loops, image = Loops(tmp_path / "run"), new_image(tmp_path)
    for attach in (loops.attached, loops.attach_kept):
        with pytest.raises(MediumError):
            attach(image, medium=medium)
    assert sorted(path.name for path in tmp_path.iterdir()) == [image.name]
