"""Facts about where the users of a device can be read."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import children
from tests.support.fuse import fuse
from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.rawloop import Attachment, attach, opened
from tests.support.rig import filled, is_claimed, mounted, mounted_elsewhere, private_number, swapping

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Attachment]:
    """A read-only device with an ext4."""
    with attach(make_image(tmp_path / "image")) as loop:
        yield loop


def _mount(target: Path, pid: int | str = "self") -> tuple[str, str, str]:
    """Device number, file system type and source of a mount in the mountinfo of a process."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[4] == str(target):
            kind, source = fields[fields.index("-") + 1 :][:2]
            return fields[2], kind, source
    raise AssertionError(f"{target} is no mount of process {pid}")


def _number(node: Path) -> str:
    device = node.stat().st_rdev
    return f"{os.major(device)}:{os.minor(device)}"


def test_f25_mountinfo_has_the_device_number_and_the_node(ext4: Attachment, tmp_path: Path) -> None:
    """Mountinfo has the major:minor of a mounted device, and its node as the source."""
    with mounted(ext4.node, tmp_path / "mnt", "-o", "ro") as folder:
        assert _mount(folder) == (_number(ext4.node), "ext4", str(ext4.node))


def test_f25_mountinfo_has_the_device_number_of_a_partition(tmp_path: Path) -> None:
    """A mounted partition shows with its own major:minor, whose major is not that of loop devices."""
    image = make_image(tmp_path / "image")
    with private_number() as number, attach(image, writable=True, number=number) as loop:
        with opened(loop.node):  # the first open may drop partitions (F60)
            rawloop.add_partition(loop.held, 1, 0, image.stat().st_size)
        node = rawloop.node(number, 1)
        with mounted(node, tmp_path / "mnt", "-o", "ro") as folder:
            assert _mount(folder) == (_number(node), "ext4", str(node))
            assert os.major(node.stat().st_rdev) != os.major(loop.node.stat().st_rdev)


def test_f25_a_mount_in_another_namespace_is_in_the_mountinfo_of_its_processes(
    ext4: Attachment, tmp_path: Path
) -> None:
    """A mount in another namespace is in the mountinfo of the processes there, and not in ours."""
    target = tmp_path / "mnt"
    target.mkdir()
    with mounted_elsewhere(ext4.node, target) as process:
        assert _mount(target, process.pid)[0] == _number(ext4.node)
        with pytest.raises(AssertionError):
            _mount(target)


def test_f25_proc_fd_names_the_node_an_opener_used(ext4: Attachment) -> None:
    """/proc/PID/fd of an opener, ourselves or another process, links to the node's path."""
    with children() as start:
        child = start(signal.pause, keep=(ext4.held,))
        for pid in ("self", child.pid):
            assert Path(f"/proc/{pid}/fd/{ext4.held}").readlink() == ext4.node
        os.kill(child.pid, signal.SIGKILL)


def test_f25_proc_swaps_names_the_node(tmp_path: Path) -> None:
    """/proc/swaps has the node of a device that is swapped on."""
    with attach(filled(tmp_path / "image", size_bytes=MIB), writable=True) as loop, swapping(loop.node):
        lines = Path("/proc/swaps").read_text().splitlines()
        assert str(loop.node) in [line.split()[0] for line in lines]


def test_f25_a_stacked_loop_has_the_node_as_its_backing_file(ext4: Attachment) -> None:
    """A loop device stacked on another one has that one's node as backing file; `holders` stays empty."""
    with attach(ext4.node) as upper:
        assert rawloop.backing_file(upper.number) == os.fsencode(ext4.node)
        assert not list(Path(f"/sys/block/{ext4.node.name}/holders").iterdir())


def _mount_id(fd: int) -> str:
    """What fdinfo says of a descriptor of this process."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)["mnt_id"]


def _mount_ids() -> list[str]:
    return [line.split(" ", 1)[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def test_f62_fdinfo_has_the_id_of_the_mount(ext4: Attachment, tmp_path: Path) -> None:
    """It is in the table until a lazy umount; then it is in none, and the path of the file begins at its root."""
    with ExitStack() as stack:
        folder = stack.enter_context(mounted(ext4.node, tmp_path / "mnt", "-o", "ro"))
        fd = stack.enter_context(opened(folder))
        assert _mount_id(fd) in _mount_ids()
        assert Path(f"/proc/self/fd/{fd}").readlink() == folder
        run("umount", "--lazy", folder)
        assert _mount_id(fd) not in _mount_ids()
        assert Path(f"/proc/self/fd/{fd}").readlink() == Path("/")


def test_f62_fdinfo_answers_while_the_server_does_not(tmp_path: Path) -> None:
    """The id is the mount's, known without the server."""
    with fuse(tmp_path) as server, opened(filled(server.folder / "f")) as fd, server.stopped():
        assert _mount_id(fd) in _mount_ids()


def test_f38_mountinfo_shows_an_anonymous_device_for_btrfs(tmp_path: Path) -> None:
    """A mounted btrfs shows with an anonymous device number of major 0: only the source field names the node."""
    image = filled(tmp_path / "image", size_bytes=0)
    os.truncate(image, 128 * MIB)
    run(require_tool("mkfs.btrfs"), "-q", image)
    with attach(image, writable=True) as loop, mounted(loop.node, tmp_path / "mnt", "-o", "ro") as folder:
        number, kind, source = _mount(folder)
        assert number.startswith("0:")
        assert (kind, source) == ("btrfs", str(loop.node))
        assert is_claimed(loop.node)


def test_f38_the_source_in_mountinfo_is_the_text_that_mount_was_given(ext4: Attachment, tmp_path: Path) -> None:
    """The source field is what mount(2) was given, so a node of another name appears under that name."""
    alias = tmp_path / "alias"
    os.mknod(alias, 0o060600, ext4.node.stat().st_rdev)
    with mounted(alias, tmp_path / "mnt", "-o", "ro") as folder:
        assert _mount(folder) == (_number(ext4.node), "ext4", str(alias))
    with opened(alias) as fd:
        assert Path(f"/proc/self/fd/{fd}").readlink() == alias
