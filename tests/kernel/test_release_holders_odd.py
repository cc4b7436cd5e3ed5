"""Looking for holders works whatever else the processes of the host have open."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.fuse import fuse
from tests.support.holding import reader
from tests.support.media import new_image
from tests.support.rig import filled
from tests.support.served import stuck_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ntt_loops import LoopDevice, Loops
    from tests.support.holding import Reader

#: A look at the processes takes milliseconds; one that hangs is ended after this.
HANGS_SECONDS = 10.0


def _open_below_long_folders(folder: Path, say: Callable[[object], None]) -> None:
    """Open a file whose path has more than 4096 bytes, which no path can say, and wait."""
    os.chdir(folder)
    for _ in range(20):
        os.mkdir("d" * 250)  # noqa: PTH102 - relative, since the whole path is too long
        os.chdir("d" * 250)
    with open("f", "wb"):  # noqa: PTH123 - relative, too
        say("open")
        signal.pause()


@contextmanager
def _long_path_open(folder: Path) -> Iterator[None]:
    with forks() as start:
        assert start(partial(_open_below_long_folders, folder)).hear() == "open"
        try:
            yield
        finally:
            oracle.run("rm", "-rf", folder / ("d" * 250))


def test_a_file_with_a_path_that_is_too_long(loops: Loops, tmp_path: Path) -> None:
    """A process with a file open below a path of more than 4096 bytes does not keep holders() from its answer."""
    device = loops.attach_kept(new_image(tmp_path))
    with _long_path_open(tmp_path), reader(device) as process:
        assert [one.pid for one in loops.holders(device)] == [process.pid]
    loops.release(device)


def test_a_deleted_file_and_a_deleted_folder(loops: Loops, tmp_path: Path) -> None:
    """Open files without a name are passed over."""
    device = loops.attach_kept(new_image(tmp_path))
    gone = tmp_path / "gone"
    gone.mkdir()
    with rawloop.opened(gone), reader(device) as process:
        gone.rmdir()
        assert [one.pid for one in loops.holders(device)] == [process.pid]
    loops.release(device)


def _assert_found_by_another_process(loops: Loops, device: LoopDevice, process: Reader) -> None:
    """Have a child ask, which may hang."""
    with forks() as start:
        child = start(lambda _: [one.pid for one in loops.holders(device)])
        assert child.hear(HANGS_SECONDS) == [process.pid]


def test_a_dead_file_server_in_another_namespace(loops: Loops, tmp_path: Path) -> None:
    """A process of another mount namespace, with a file open on a dead server, does not make holders() hang."""
    device = loops.attach_kept(new_image(tmp_path))
    with reader(device) as process, stuck_elsewhere(tmp_path):
        _assert_found_by_another_process(loops, device, process)
    loops.release(device)


def test_a_dead_file_server_in_a_chroot_of_another_namespace(loops: Loops, tmp_path: Path) -> None:
    """Its table of mounts is told from its own root, and the path of its file from ours."""
    device = loops.attach_kept(new_image(tmp_path))
    root = tmp_path / "root"
    root.mkdir()
    with reader(device) as process, stuck_elsewhere(tmp_path, root=root):
        _assert_found_by_another_process(loops, device, process)
    loops.release(device)


def test_a_dead_file_server_that_was_unmounted_lazily(loops: Loops, tmp_path: Path) -> None:
    """As one is rid of it: no table has it any more, and the path of an open file looks like one of the root."""
    device = loops.attach_kept(new_image(tmp_path))
    with reader(device) as process, fuse(tmp_path) as server:
        filled(server.folder / "f")
        with reader(server.folder / "f"):
            server.unmount_lazily()
            with server.stopped():
                _assert_found_by_another_process(loops, device, process)
    loops.release(device)


def test_a_node_on_devices_that_were_unmounted_lazily(loops: Loops, tmp_path: Path) -> None:
    """Whoever opened the device by a /dev that is gone, as a chroot's is after its end, is found all the same."""
    device = loops.attach_kept(new_image(tmp_path))
    dev = tmp_path / "dev"
    dev.mkdir()
    with ExitStack() as mount:
        oracle.run("mount", "-t", "tmpfs", "-o", "dev", "none", dev)
        mount.callback(oracle.run, "umount", "--lazy", dev)
        node = dev / device.path.name
        os.mknod(node, 0o060600, device.path.stat().st_rdev)
        with reader(node) as process:
            mount.close()
            assert [one.pid for one in loops.holders(device)] == [process.pid]
    loops.release(device)


def test_many_processes_and_descriptors(loops: Loops, tmp_path: Path) -> None:
    """Each process that has the device open is named once, however often it has."""
    device = loops.attach_kept(new_image(tmp_path))
    with reader(device) as first, reader(device) as second, rawloop.opened(device), rawloop.opened(device):
        expected = sorted([first.pid, second.pid, os.getpid()])
        assert sorted(one.pid or 0 for one in loops.holders(device)) == expected
        assert sorted(one.pid or 0 for one in loops.holders(device.path)) == expected
    assert loops.holders(device) == []
    loops.release(device)
    with rawloop.attach(new_image(tmp_path)) as next_one, reader(next_one.node):  # on the same number, or another
        assert loops.holders(device) == []
