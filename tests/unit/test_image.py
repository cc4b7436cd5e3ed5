"""Opening an image: what can be attached, what cannot, and that no descriptor is lost over it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import ImageError, ImageNotFoundError, ImagePermissionError
from ntt_loops._attachment.image import Extent, OpenImage, open_image
from ntt_loops._kernel.descriptors import open_numbers
from tests.support.guard import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_mock import MockerFixture

WHOLE = Extent()
SIZE_BYTES = 8 * 512
BOTH = pytest.mark.parametrize("writable", [True, False])


@pytest.fixture(autouse=True)
def no_descriptor_lost() -> Iterator[None]:
    """Whatever a test does, the process has the same descriptors after it."""
    before, numbers = open_descriptors(), open_numbers()
    yield
    assert open_numbers() == numbers
    assert open_descriptors() == before


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of eight sectors."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(SIZE_BYTES))
    return path


def opened(image: str | os.PathLike[str], extent: Extent = WHOLE, *, writable: bool = False) -> OpenImage:
    """Open it."""
    return open_image(os.fspath(image), writable=writable, extent=extent)


def refused(image: str | os.PathLike[str], extent: Extent = WHOLE, *, writable: bool = False) -> ImageError:
    """Expect ImageError with the image in it, and no descriptor open although the error is still held."""
    before, numbers = open_descriptors(), open_numbers()
    with pytest.raises(ImageError) as caught:
        opened(image, extent, writable=writable)
    assert open_numbers() == numbers
    assert open_descriptors() == before
    assert caught.value.image == Path(image)
    assert caught.value.filename == os.fspath(image)
    return caught.value


def link(path: Path) -> None:
    """Let it lead to itself."""
    path.symlink_to(path.name)


def listen(path: Path) -> None:
    """Make a socket there."""
    place = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{place}/{path.name}")  # an address has 108 bytes
    finally:
        os.close(place)


def test_an_image_is_opened_once_and_looked_at(image: Path) -> None:
    """What is noted is what stat(2) says of the file, and one descriptor is open until the close."""
    found = image.stat()
    one = opened(image)
    assert open_numbers() == [one.file.fileno()]
    assert not os.get_inheritable(one.file.fileno())
    assert (one.path, one.backing_file) == (str(image), bytes(image))
    assert (one.dev, one.inode, one.size_bytes, one.tail_bytes) == (found.st_dev, found.st_ino, SIZE_BYTES, 0)
    one.close()
    one.close()


def test_a_symlink_is_followed_once(image: Path, tmp_path: Path) -> None:
    """The path stays as it was given, all else is of the file that it led to at that moment."""
    name = tmp_path / "link.img"
    name.symlink_to(image)
    one = opened(name)
    name.unlink()
    name.symlink_to("/dev/null")
    assert (one.path, one.backing_file, one.inode) == (str(name), bytes(image), image.stat().st_ino)
    one.close()


def test_a_relative_path_is_made_absolute(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted of an image means the same in every folder."""
    monkeypatch.chdir(image.parent)
    one = opened(image.name)
    assert (one.path, one.backing_file) == (str(image), bytes(image))
    one.close()


def test_a_name_of_any_bytes_is_opened(tmp_path: Path) -> None:
    """No UTF-8, a newline, " (deleted)": a name is bytes."""
    for name in (b"\xff\xfe.img", b"a\nb.img", b"x.img (deleted)"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(bytes(512))
        one = opened(path)
        assert one.backing_file == bytes(tmp_path) + b"/" + name
        one.close()


def test_a_hole_is_noticed(image: Path) -> None:
    """An image with fewer blocks than bytes is sparse, one that is written out is not."""
    whole = opened(image)
    os.truncate(image, 1 << 20)
    sparse = opened(image)
    assert (whole.is_sparse, sparse.is_sparse) == (False, True)
    whole.close()
    sparse.close()


@BOTH
@pytest.mark.parametrize(
    ("make", "number"),
    [
        (Path.mkdir, errno.EISDIR),
        (os.mkfifo, errno.EINVAL),
        (listen, errno.ENXIO),
        (Path.touch, errno.EINVAL),
        (lambda path: path.write_bytes(bytes(511)), errno.EINVAL),
        (link, errno.ELOOP),
    ],
    ids=["a folder", "a fifo", "a socket", "empty", "less than a sector", "a ring of symlinks"],
)
def test_what_cannot_be_attached_is_refused(
    tmp_path: Path, make: Callable[[Path], object], number: int, *, writable: bool
) -> None:
    """Each is ImageError with an errno that tells it, and none is waited for."""
    make(tmp_path / "image")
    assert refused(tmp_path / "image", writable=writable).errno == number


@BOTH
@pytest.mark.parametrize(
    ("path", "reason"),
    [("/dev/null", "no regular file"), ("/dev/zero", "no regular file"), ("/", "a directory"), (".", "a directory")],
)
def test_what_is_no_regular_file_is_refused_as_that(path: str, reason: str, *, writable: bool) -> None:
    """Devices and folders are not told from an empty image by their size, but by what they are."""
    assert f"is {reason}" in str(refused(path, writable=writable))


def test_a_file_without_bytes_of_its_own_is_refused() -> None:
    """What /proc shows is made at each read: there are no bytes to attach."""
    assert "is empty" in str(refused("/proc/self/cmdline"))


@BOTH
def test_a_missing_image_is_not_made(tmp_path: Path, *, writable: bool) -> None:
    """It is ImageNotFoundError, and there is still none."""
    error = refused(tmp_path / "image", writable=writable)
    assert isinstance(error, ImageNotFoundError)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(refused("", writable=writable), ImageNotFoundError)


@pytest.mark.parametrize(
    "path",
    ["a\0b", "/data/a\0.img", "\ud800", "x" * 5000, "/" + "x/" * 2500, "n" * 256],
    ids=["NUL", "NUL behind a folder", "a lone surrogate", "5000 bytes", "5000 bytes of folders", "a name of 256"],
)
def test_what_cannot_be_a_path_is_refused(path: str) -> None:
    """A path that open(2) does not even take is ImageError, with the path as it was given."""
    refused(path)


def test_a_file_below_a_file_is_refused(image: Path) -> None:
    """ENOTDIR is ImageError too."""
    assert refused(image / "more").errno == errno.ENOTDIR


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_forbidden_image_is_a_permission_error(image: Path, mocker: MockerFixture, number: int) -> None:
    """It is caught as PermissionError, too."""
    refusal = OSError(number, os.strerror(number), str(image))
    mocker.patch("ntt_loops._attachment.image.open_descriptor", side_effect=refusal)
    error = refused(image, writable=True)
    assert isinstance(error, ImagePermissionError)
    assert error.errno == number
    assert "for writing" in str(error)


def test_an_image_deeper_than_the_kernel_can_say_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says no path over 4095 bytes: an image that a relative path leads to is opened all the same."""
    monkeypatch.chdir(tmp_path)
    for _ in range(21):
        Path("d" * 200).mkdir()
        monkeypatch.chdir("d" * 200)
    Path("536a.img").write_bytes(bytes(512))
    one = opened("536a.img")
    assert len(one.path) > 4095
    assert (one.size_bytes, one.backing_file) == (512, os.fsencode(one.path))
    one.close()


def test_an_image_is_closed_where_its_path_is_refused(image: Path, mocker: MockerFixture) -> None:
    """Whatever goes wrong once the image is open, its descriptor is closed before the error goes on."""
    mocker.patch("ntt_loops._attachment.image.os.readlink", side_effect=KeyboardInterrupt)
    before = open_numbers()
    with pytest.raises(KeyboardInterrupt):
        opened(image)
    assert open_numbers() == before
