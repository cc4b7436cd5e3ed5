"""Files on what the kernel in memory mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import MountError, attached, mounted, mounted_medium
from ntt_loops.testing import MemoryKernel, in_memory
from tests.support.images import make_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {"letter.txt": b"Dear Ann", "1994/a/b.txt": b"b", "1994/c.txt": b"c"}


@pytest.fixture
def kernel() -> Iterator[MemoryKernel]:
    """A kernel that the package's functions work on."""
    with in_memory() as memory:
        yield memory


@pytest.fixture
def image(tmp_path: Path, kernel: MemoryKernel) -> Path:
    """An image that stands for an ext4 with files."""
    path = make_image(tmp_path / "a.img", fs=None, size_bytes=4096)
    kernel.format(path, "ext4", files=FILES)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what lies below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_lie_on_the_mount_point_while_it_is_mounted(image: Path, tmp_path: Path) -> None:
    """All of them, and then none, and the folder goes as after any other mount."""
    with mounted_medium(image, root=tmp_path / "mnt") as medium:
        assert files_of(medium.partitions[0].mount_point or tmp_path) == FILES
    assert not (tmp_path / "mnt" / "a").exists()


def test_files_go_with_the_power(image: Path, tmp_path: Path, kernel: MemoryKernel) -> None:
    """After a reboot nothing is mounted, so nothing lies there."""
    point = tmp_path / "point"
    point.mkdir()
    with attached(image) as device:
        kernel.mount_node(device, bytes(point), fstype="ext4", options="ro", within=1)
        assert files_of(point) == FILES
        kernel.reboot()
    assert list(point.iterdir()) == []


def test_nothing_is_spoilt_on_a_folder_that_is_not_empty(image: Path, tmp_path: Path, kernel: MemoryKernel) -> None:
    """A real mount would hide what lies there; this one is refused, and the device is as before."""
    point = tmp_path / "point"
    point.mkdir()
    (point / "letter.txt").write_bytes(b"mine")
    with attached(image) as device:
        with pytest.raises(OSError, match="is not empty: a mount in memory that holds files hides nothing"):
            kernel.mount_node(device, bytes(point), fstype="ext4", options="ro", within=1)
        assert kernel.mounts() == []
    assert files_of(point) == {"letter.txt": b"mine"}
    assert kernel.bound_numbers() == []


def test_a_file_that_cannot_be_written_mounts_nothing(image: Path, tmp_path: Path, kernel: MemoryKernel) -> None:
    """What was written before is taken away again."""
    kernel.format(image, "ext4", files={"a/b": b"", "x" * 300: b""})
    with attached(image) as device, pytest.raises(MountError), mounted(device, tmp_path / "point"):
        pytest.fail("it was mounted")
    assert list(tmp_path.glob("point")) == []
    assert kernel.bound_numbers() == []


def test_what_the_program_removed_is_no_trouble(image: Path, tmp_path: Path) -> None:
    """Nothing is read-only in memory."""
    with attached(image) as device, mounted(device, tmp_path / "point") as folder:
        (folder / "letter.txt").unlink()
    assert not (tmp_path / "point").exists()


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../b", "a/../../b", "a\0b"])
def test_a_name_that_leads_out_is_refused(name: str, image: Path, kernel: MemoryKernel) -> None:
    """Nothing is written outside the mount point."""
    with pytest.raises(ValueError, match="is no file's name below the root"):
        kernel.format(image, "ext4", files={name: b""})


def test_a_file_is_no_folder(image: Path, kernel: MemoryKernel) -> None:
    """Two names that cannot be together are refused, however they are written."""
    with pytest.raises(ValueError, match="'a' cannot be a file and a folder"):
        kernel.format(image, "ext4", files={"a//b": b"", "./a": b""})


def test_text_is_refused(image: Path, kernel: MemoryKernel) -> None:
    """A file holds bytes."""
    with pytest.raises(TypeError, match=r"what is in 'a' must be bytes, not str"):
        kernel.format(image, "ext4", files={"a": "text"})  # type: ignore[dict-item]
