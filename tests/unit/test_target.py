"""What a caller's argument means: an id or a path, a device, an age."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MediumError
from ntt_loops._attachment import image_path
from ntt_loops._backoff import Deadline
from ntt_loops._kernel import StuckError
from ntt_loops._medium import medium_meant, real_paths
from ntt_loops._target import checked_age, device_number
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

    from ntt_loops._medium import Medium

NOW = Deadline(0.0)


class OddPath(os.PathLike[str]):
    """A path that is no pathlib one."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return self.path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(4096))
    return path


def meant(what: str | os.PathLike[str], kernel: MemoryKernel | None = None) -> Medium:
    """Return what release_all takes it for."""
    return medium_meant(kernel or MemoryKernel(), what, NOW)


@pytest.mark.parametrize("name", ["536a", "536a.img", "Zip disk #12", "~", "-", "a\nb"])
def test_a_str_without_a_slash_is_an_id(name: str) -> None:
    """An id means the whole medium: nothing of it is cut off, and no file is looked at."""
    medium = meant(name)
    assert (medium.name, medium.paths, medium.inode, medium.is_one_file) == (name, frozenset(), None, False)


def test_a_path_object_or_a_str_with_a_slash_is_a_file(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is written, a path means that one file: its absolute path, (dev, inode), and the id it stands for."""
    monkeypatch.chdir(image.parent)
    found = image.stat()
    for what in (
        image,
        str(image),
        "./536a.img",
        Path("536a.img"),
        OddPath("536a.img"),
        f"../{image.parent.name}/536a.img",
    ):
        medium = meant(what)
        assert medium.is_one_file
        assert (medium.name, medium.inode) == ("536a", (found.st_dev, found.st_ino))
        assert medium.paths == {bytes(image)}


def test_a_symlink_stands_for_its_own_name_and_both_paths(image: Path, tmp_path: Path) -> None:
    """The id is of the name as given; a deleted file is found by the real path too, which is what the kernel shows."""
    link = tmp_path / "link.img"
    link.symlink_to(image.name)
    medium = meant(link)
    assert (medium.name, medium.paths) == ("link", frozenset((bytes(link), bytes(image))))
    assert medium.inode == (image.stat().st_dev, image.stat().st_ino)


def test_a_path_where_nothing_is_has_no_inode(image: Path) -> None:
    """After the unlink its devices are known by the path alone."""
    image.unlink()
    medium = meant(image)
    assert (medium.inode, medium.paths) == (None, frozenset([bytes(image)]))


def test_a_path_that_does_not_answer_is_known_by_its_name(image: Path) -> None:
    """On storage that hangs nothing is waited for beyond the deadline."""
    kernel = MemoryKernel()
    kernel.hang(image.parent)
    medium = meant(image, kernel)
    assert (medium.name, medium.inode, medium.paths) == ("536a", None, frozenset([bytes(image)]))


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b", "\ud800"], ids=repr)
def test_a_str_that_is_no_id_is_refused(name: str) -> None:
    """What cannot be an id is MediumError."""
    with pytest.raises(MediumError):
        meant(name)


@pytest.mark.parametrize(
    "path",
    ["/", "./", "/data/", "/data/..", "./.", "/data/a\0.img", "/data/\ud800.img", "/da\0ta/x.img", "/\ud800/x.img"],
    ids=repr,
)
def test_a_path_that_no_image_has_is_refused(path: str) -> None:
    """A path without a name, or with what no path can have in any of its parts, is MediumError that shows it."""
    with pytest.raises(MediumError):
        meant(path)


def test_a_path_that_is_too_long_for_the_kernel_has_no_devices(tmp_path: Path) -> None:
    """No file can be there, so nothing is released, and nothing fails."""
    loops = Loops(tmp_path / "run", MemoryKernel())
    assert loops.release_all("/" + "x/" * 2500 + "x.img").released == ()


@pytest.mark.parametrize("what", [b"/data/536a.img", 7, None, ["a"]], ids=repr)
def test_what_is_no_path_is_a_type_error(what: str, tmp_path: Path) -> None:
    """Bytes, numbers and lists are a mistake of the program."""
    loops = Loops(tmp_path / "run", MemoryKernel())
    with pytest.raises(TypeError):
        image_path(what)
    with pytest.raises(TypeError):
        loops.release_all(what)
    with pytest.raises(TypeError):
        loops.attached(what)


def test_a_folder_is_itself_and_where_it_leads(tmp_path: Path) -> None:
    """``under`` takes a folder by its own name and by its real one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    expected = frozenset((bytes(tmp_path / "link"), bytes(tmp_path / "real")))
    assert real_paths(MemoryKernel(), tmp_path / "link", NOW) == expected
    assert real_paths(MemoryKernel(), f"{tmp_path}/link/", NOW) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("/dev/loop0", 0),
        ("/dev/loop17", 17),
        ("loop17", 17),
        ("/dev/loop17p1", 17),
        ("loop7p128", 7),
        ("/dev/loop1048575", 1048575),
    ],
)
def test_a_device_is_told_by_its_number(text: str, number: int) -> None:
    """A node, its bare name, or that of one of its partitions is that disk's number."""
    assert device_number(text) == number
    assert device_number(Path(text)) == number
    assert device_number(OddPath(text)) == number


def test_a_device_object_is_told_by_its_number(image: Path, tmp_path: Path) -> None:
    """What attach_kept returned needs no parsing."""
    device = Loops(tmp_path / "run", MemoryKernel()).attach_kept(image)
    assert device_number(device) == device.number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "loop",
        "/dev/loop",
        "/dev/loop-control",
        "/dev/sda",
        "/dev/loop7x",
        "/dev/loop7p",
        "/dev/loop7\n",
        " /dev/loop7",
        "/dev/loop7 ",
        "/dev/loop-7",
        "/chroot/dev/loop7",
        "dev/loop7",
        "/dev/loop\u0667",
    ],
    ids=repr,
)
def test_what_is_no_loop_device_is_refused(text: str) -> None:
    """Anything else is a ValueError that shows it and how a device looks."""
    with pytest.raises(ValueError, match=r"it looks like /dev/loop7 or /dev/loop7p1") as caught:
        device_number(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("seconds", [None, 0, 0.5, 86_400, math.inf])
def test_an_age_is_a_number_of_seconds_or_none(seconds: float | None) -> None:
    """Zero and no limit at all are ages, too."""
    assert checked_age(seconds) == seconds


@pytest.mark.parametrize("seconds", [-1, -0.5, -math.inf, math.nan])
def test_a_negative_age_is_refused(seconds: float) -> None:
    """It would sweep what is younger than nothing."""
    with pytest.raises(ValueError, match="kept_older_than is a number of seconds"):
        checked_age(seconds)


@pytest.mark.parametrize(
    ("error", "is_unreachable"),
    [
        (FileNotFoundError(errno.ENOENT, "none"), False),
        (NotADirectoryError(errno.ENOTDIR, "none"), False),
        (OSError(errno.ELOOP, "a ring of symlinks"), False),
        (StuckError("stat did not return"), True),
        (PermissionError(errno.EACCES, "denied"), True),
        (OSError(errno.ESTALE, "stale"), True),
    ],
)
def test_out_of_reach_is_not_missing(
    image: Path, mocker: MockerFixture, error: OSError, *, is_unreachable: bool
) -> None:
    """Where the file cannot be asked which it is, that is told; where there is none, its path is all there is."""
    kernel = MemoryKernel()
    mocker.patch.object(kernel, "file_id", side_effect=error)
    medium = meant(image, kernel)
    assert (medium.inode, medium.unreachable) == (None, error if is_unreachable else None)
    assert os.fsencode(image) in medium.paths


def test_an_empty_folder_is_refused(image: Path, tmp_path: Path) -> None:
    """It would be the current one, where a variable of a script was empty."""
    loops = Loops(tmp_path / "run", MemoryKernel())
    with pytest.raises(ValueError, match="names no folder"):
        loops.mount_medium(image, root="")
    with pytest.raises(ValueError, match="names no folder"):
        loops.mounted_medium(image, root="")
    with pytest.raises(ValueError, match="names no folder"):
        loops.unmount_medium("536a", root="")
    with pytest.raises(ValueError, match="names no folder"):
        loops.mounted("/dev/loop0", "")
