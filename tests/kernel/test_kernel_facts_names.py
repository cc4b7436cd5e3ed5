"""Facts about the path that sysfs shows for a backing file, and about device nodes."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import children
from tests.support.fuse import fuse
from tests.support.oracle import run
from tests.support.rawloop import attach, opened
from tests.support.rig import fails_with, filled, mounted, private_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELETED = b" (deleted)"


@pytest.mark.parametrize(
    "name", [b"with blank ", b"two\nlines\n", b"tab\t\\040", b"\xff\xfe", b"x (deleted)", b"n" * 255]
)
def test_f27_sysfs_has_the_path_as_it_is_plus_one_newline(tmp_path: Path, name: bytes) -> None:
    """backing_file is the path, unescaped, whatever its bytes, plus one newline."""
    image = filled(tmp_path / os.fsdecode(name))
    with attach(image) as loop:
        raw = Path(f"/sys/block/loop{loop.number}/loop/backing_file").read_bytes()
        assert raw == os.fsencode(image) + b"\n"


@pytest.fixture
def deep_image(tmp_path: Path) -> Iterator[int]:
    """An image whose path is longer than any path may be, made from folder to folder."""
    with ExitStack() as stack:
        folder = stack.enter_context(opened(tmp_path))
        for _ in range(mmap.PAGESIZE // 200 + 1):
            os.mkdir("d" * 200, dir_fd=folder)
            folder = os.open("d" * 200, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
            stack.callback(os.close, folder)
        image = os.open("image", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
        stack.callback(os.close, image)
        os.ftruncate(image, 4096)
        yield image


def test_f48_a_path_longer_than_a_page_makes_backing_file_unreadable(deep_image: int) -> None:
    """Where the path does not fit into a page, reading backing_file is ENAMETOOLONG, though the device is bound."""
    with attach(deep_image) as loop:
        assert rawloop.is_bound(loop.number)
        with fails_with(errno.ENAMETOOLONG):
            rawloop.backing_file(loop.number)


def _reader(path: str, root: Path | None) -> Callable[[], bytes]:
    def read() -> bytes:
        with opened(path) as fd:
            if root is not None:
                os.chroot(root)
            return os.read(fd, 4096)

    return read


def test_f49_backing_file_is_told_from_the_root_of_the_reader(tmp_path: Path) -> None:
    """A reader whose root is a folder above the image reads its path from there; one outside reads the whole path."""
    (tmp_path / "elsewhere").mkdir()
    with attach(filled(tmp_path / "image")) as loop, children() as start:
        path = f"/sys/block/loop{loop.number}/loop/backing_file"
        whole = os.fsencode(tmp_path / "image") + b"\n"
        assert start(_reader(path, None)).words() == repr(whole)
        assert start(_reader(path, tmp_path)).words() == repr(b"/image\n")
        assert start(_reader(path, tmp_path / "elsewhere")).words() == repr(whole)


def _unlink(image: Path) -> None:
    image.unlink()


def _link_and_unlink(image: Path) -> None:
    image.with_name("second").hardlink_to(image)
    image.unlink()


def _rename_over(image: Path) -> None:
    filled(image.with_name("new")).rename(image)


def _unlink_and_make_anew(image: Path) -> None:
    image.unlink()
    filled(image)


@pytest.mark.parametrize("lose", [_unlink, _link_and_unlink, _rename_over, _unlink_and_make_anew])
def test_f28_deleted_means_that_this_directory_entry_is_gone(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    """backing_file ends in " (deleted)" once its own entry is gone, though the file has other names or a successor."""
    image = filled(tmp_path / "image")
    with attach(image) as loop:
        lose(image)
        assert rawloop.backing_file(loop.number) == os.fsencode(image) + DELETED
        assert os.pread(loop.held, 1, 0) == b"A"


def test_f28_a_renamed_image_shows_its_new_name(tmp_path: Path) -> None:
    """backing_file follows a rename of the image, and of a folder above it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with attach(filled(folder / "image")) as loop:
        (folder / "image").rename(folder / "renamed")
        folder.rename(tmp_path / "moved")
        assert rawloop.backing_file(loop.number) == os.fsencode(tmp_path / "moved" / "renamed")


def test_f28_a_dead_fuse_server_can_show_as_deleted(tmp_path: Path) -> None:
    """After its FUSE server died a look-up of the image drops the entry: "(deleted)", and no file was deleted."""
    with fuse(tmp_path, "attr_timeout=3600,entry_timeout=0") as server:
        image = filled(server.folder / "image")
        with attach(image) as loop:
            server.kill()
            assert rawloop.backing_file(loop.number) == os.fsencode(image)
            with fails_with(errno.ENOTCONN):
                image.stat()
            assert rawloop.backing_file(loop.number) == os.fsencode(image) + DELETED
            assert (tmp_path / "behind" / "image").exists()


def test_f30_only_a_fragment_is_left_once_the_mount_is_gone(tmp_path: Path) -> None:
    """Once the mount it came from is detached, backing_file is the path within it, without "(deleted)"."""
    with mounted("none", tmp_path / "mnt", "-t", "tmpfs") as folder:
        (folder / "sub").mkdir()
        with attach(filled(folder / "sub" / "image")) as loop:
            run("umount", "--lazy", folder)
            assert rawloop.backing_file(loop.number) == b"/sub/image"


def test_f30_a_mount_over_the_folder_leaves_the_path_as_it_is(tmp_path: Path) -> None:
    """A mount over the image's folder changes nothing in backing_file, and the path now names another file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    image = filled(folder / "image")
    with attach(image) as loop, mounted("none", folder, "-t", "tmpfs"):
        assert rawloop.backing_file(loop.number) == os.fsencode(image)
        assert not image.exists()


def test_f33_a_private_node_made_from_sysfs_dev_opens_the_device(tmp_path: Path) -> None:
    """A node made by mknod from sysfs `dev` is as good as the one in /dev."""
    with attach(filled(tmp_path / "image")) as loop:
        major, minor = (rawloop.sysfs(loop.number, "dev") or b"").split(b":")
        node = tmp_path / "node"
        os.mknod(node, 0o060600, os.makedev(int(major), int(minor)))
        with opened(node) as fd:
            assert rawloop.get_status(fd) == rawloop.get_status(loop.held)


def test_f33_a_device_outlives_its_node(tmp_path: Path) -> None:
    """Removing the node from /dev leaves the device bound, and its descriptors work."""
    scoped = rawloop.Status(flags=rawloop.Flag.AUTOCLEAR)  # it goes without a node
    with private_number() as number, attach(filled(tmp_path / "image"), number=number, status=scoped) as loop:
        loop.node.unlink()
        assert loop.is_attached()
        assert rawloop.diskseq(loop.held) == loop.diskseq
        with fails_with(errno.ENOENT), opened(loop.node):
            pass
