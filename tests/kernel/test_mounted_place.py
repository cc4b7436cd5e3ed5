"""Where ``mounted`` mounts: folders of its own, given ones, odd names, and what cannot be a mount point."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, LoopDevice, Loops, MountError
from tests.support import oracle
from tests.support.holding import worker_in
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_id
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


@pytest.fixture
def device(loops: Loops, tmp_path: Path) -> Iterator[LoopDevice]:
    """A device with a file system that holds one file."""
    image = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB, files={"f": b"content"})
    with loops.attached(image) as made:
        yield made


def _own_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("ntt-loops-*"))


def test_a_folder_of_its_own(loops: Loops, device: LoopDevice) -> None:
    """Without a mount point it is a new folder that only this user can enter, gone afterwards."""
    before = _own_folders()
    with loops.mounted(device) as point:
        assert oracle.mounts_of(str(device)) == [point]
        assert (point / "f").read_bytes() == b"content"
        assert point.parent == Path(tempfile.gettempdir())
    assert not point.exists()
    assert _own_folders() == before
    assert oracle.mounts_of(str(device)) == []


def test_the_private_folder_is_private(loops: Loops, device: LoopDevice) -> None:
    """Below the mount it has mode 0700, so that no other user can slip something in before."""
    with loops.mounted(device) as point:
        oracle.run("umount", point)
        assert point.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name",
    [b"a b", b"a\nb", b"\xff\xfe", b"back\\slash", b"-o", b"--", b"#", b"\xc3\xa4", b"x" * 255, b"a\tb", b"\\040"],
)
def test_any_name(loops: Loops, device: LoopDevice, tmp_path: Path, name: bytes) -> None:
    """A mount point's name may hold any bytes; one that was missing is made, and removed again."""
    place = tmp_path / "any" / os.fsdecode(name)
    place.parent.mkdir()
    with loops.mounted(device, place) as point:
        assert point == place
        assert oracle.mounts_of(str(device)) == [place]
    assert list(place.parent.iterdir()) == []


def test_a_relative_name(loops: Loops, device: LoopDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path with a leading dash is below the current folder."""
    monkeypatch.chdir(tmp_path)
    with loops.mounted(device, at="-t") as point:
        assert point == tmp_path / "-t"
        assert point.is_mount()


def test_an_empty_folder_that_is_there_stays(loops: Loops, device: LoopDevice, tmp_path: Path) -> None:
    """What was there is there afterwards."""
    place = tmp_path / "mnt"
    place.mkdir(mode=0o750)
    with loops.mounted(device, at=place):
        assert place.is_mount()
    assert place.is_dir()
    assert place.stat().st_mode & 0o777 == 0o750


def test_a_symlink_is_followed(loops: Loops, device: LoopDevice, tmp_path: Path) -> None:
    """The mount point that is yielded is where the mount really is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with loops.mounted(device, at=tmp_path / "link") as point:
        assert point == tmp_path / "real"
    assert (tmp_path / "link").is_symlink()


def test_what_is_not_empty(loops: Loops, device: LoopDevice, tmp_path: Path) -> None:
    """A folder with something in it is refused, and left as it is."""
    (tmp_path / "mnt").mkdir()
    (tmp_path / "mnt" / "file").touch()
    with pytest.raises(MountError, match="not empty"), loops.mounted(device, at=tmp_path / "mnt"):
        pass
    assert (tmp_path / "mnt" / "file").exists()


@pytest.mark.parametrize("what", ["file", "missing/folder", "dangling"])
def test_what_is_no_folder(loops: Loops, device: LoopDevice, tmp_path: Path, what: str) -> None:
    """A file, a folder in a folder that is missing, a dangling symlink to such: refused, and nothing is made."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("missing/folder")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MountError, match=r"cannot be a mount point"), loops.mounted(device, at=tmp_path / what):
        pass
    assert sorted(tmp_path.iterdir()) == before
    assert oracle.mounts_of(str(device)) == []


def test_a_mount_point_in_use(loops: Loops, device: LoopDevice, tmp_path: Path) -> None:
    """What is mounted already, by whomever, is refused and stays mounted: also where it is this very device."""
    for source, *options in (("none", "-t", "tmpfs"), (str(device), "-o", "ro,noload")):
        with mounted(source, tmp_path / "mnt", *options) as place:
            with pytest.raises(MountError, match="mounted there already"), loops.mounted(device, at=place):
                pass
            assert place.is_mount()


def test_the_same_device_twice(loops: Loops, device: LoopDevice) -> None:
    """One device can be mounted at two places; each is unmounted for itself."""
    with loops.mounted(device) as first:
        with loops.mounted(device) as second:
            assert set(oracle.mounts_of(str(device))) == {first, second}
        assert oracle.mounts_of(str(device)) == [first]


def test_a_path_of_somebody_elses_device(loops: Loops, tmp_path: Path) -> None:
    """A device that losetup made is mounted by its path, and stays attached."""
    image = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB)
    device = by_losetup(image)
    with loops.mounted(str(device)) as point:
        assert oracle.mounts_of(device) == [point]
    assert is_bound(device)
    oracle.losetup_detach(device)


def test_nothing_to_mount(loops: Loops, tmp_path: Path) -> None:
    """Without a file system it is mount(8)'s own text, and no folder is left."""
    image = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB, fs=None)
    before = _own_folders()
    with loops.attached(image) as device, pytest.raises(MountError) as caught, loops.mounted(device):
        pass
    assert caught.value.text.startswith("mount: ")
    assert caught.value.partition == caught.value.device == str(device)
    assert _own_folders() == before


def test_a_device_that_is_gone(loops: Loops, device: LoopDevice, tmp_path: Path) -> None:
    """A device whose attachment ended is refused, whatever is on its number by now."""
    image = make_image(tmp_path / "gone", size_bytes=MIB)
    with loops.attached(image) as gone:
        pass
    with pytest.raises(MountError, match=r"not attached any more|cannot be opened"), loops.mounted(gone):
        pass
    with pytest.raises(MountError), loops.mounted(f"{device}p7"):
        pass


@pytest.mark.parametrize("name", ["/dev/sda", "loop", "", "/dev/loop1p", "/dev/mapper/x"])
def test_no_loop_device(loops: Loops, name: str) -> None:
    """Anything that is no loop device is refused before anything is done."""
    with pytest.raises(ValueError, match="no loop device"):
        loops.mounted(name)


@pytest.mark.parametrize("fstype", ["auto", "ext4,xfs", "", "-o rw", "ext4 ", "a/b"])
def test_no_file_system(loops: Loops, device: LoopDevice, fstype: str) -> None:
    """A guess, a list, or what is no name at all is refused."""
    with pytest.raises(ValueError, match="name of one file system"):
        loops.mounted(device, fstype=fstype)


def test_a_file_that_is_open(loops: Loops, device: LoopDevice) -> None:
    """Whoever works there keeps it mounted: the error names the process and the file, and a later umount is enough."""
    with pytest.raises(DeviceBusyError) as caught, loops.mounted(device, timeout=2) as point:
        file = (point / "f").open("rb")
    with file:
        assert oracle.mounts_of(str(device)) == [point]
        users = [one for one in caught.value.holders if one.kind == "process" and one.where == str(point / "f")]
        assert [one.pid for one in users] == [os.getpid()]
        assert "stays mounted" in str(caught.value)
    oracle.run("umount", point)
    point.rmdir()


def test_it_waits_for_who_leaves(loops: Loops, device: LoopDevice) -> None:
    """Somebody who leaves within the time is waited for."""
    with ExitStack() as stack:
        with loops.mounted(device, timeout=60) as point:
            worker = stack.enter_context(worker_in(point, seconds=0.4))
            assert [one.pid for one in loops.holders(device) if one.where == str(point) and one.kind == "process"] == [
                worker.pid
            ]
        assert oracle.mounts_of(str(device)) == []


def test_an_error_of_the_body_is_not_hidden(loops: Loops, device: LoopDevice) -> None:
    """What goes wrong at the exit is a note on it."""
    error = RuntimeError("of the body")
    with pytest.raises(RuntimeError, match="of the body"), loops.mounted(device, timeout=2) as point:
        _open_and_raise(point / "f", error)
    error.args[1].close()
    assert "stays mounted" in "".join(error.__notes__)
    oracle.run("umount", point)
    point.rmdir()


def _open_and_raise(path: Path, error: RuntimeError) -> None:
    error.args = (*error.args, path.open("rb"))
    raise error


def test_unmounted_by_hand(loops: Loops, device: LoopDevice) -> None:
    """A umount by somebody else is no error; one that was mounted over it is."""
    with loops.mounted(device) as point:
        oracle.run("umount", point)
    assert not point.exists()


def test_covered_by_somebody_else(loops: Loops, device: LoopDevice) -> None:
    """A mount that another one covers is left alone, since umount(8) would take that one; the error says so."""
    with pytest.raises(DeviceBusyError, match="covered"), loops.mounted(device, timeout=2) as point:
        oracle.run("mount", "-t", "tmpfs", "none", point)
    oracle.run("umount", point)
    assert oracle.mounts_of(str(device)) == [point]
    oracle.run("umount", point)
    point.rmdir()
