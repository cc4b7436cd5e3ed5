"""The real world: what others do is done by the system's own tools, and undone."""

from __future__ import annotations

import errno
import functools
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ntt_loops._kernel.linux import LinuxKernel
from ntt_loops._kernel.values import SECTOR_BYTES
from tests.support import guard, oracle, rawloop, tables
from tests.support.features import has_diskseq, has_rundown, opens_drop_partitions, takes_past_the_end
from tests.support.images import make_image
from tests.support.needs import find_tool, require_tool
from tests.support.world import IMAGE_BYTES, Ability, Attached, Content, Elsewhere, Mounted, Place, Where, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Devices far from those that GET_FREE hands to others, within the minor numbers of any ``max_part``.
OWN_NUMBERS = range(10_000, 60_000)
REMOVE_SECONDS = 30.0
#: Hypothesis seeds the usual one, and two runs of the tests would want the same numbers.
_SOURCE = random.SystemRandom()

_OPENER = "import os, sys; os.open(sys.argv[1], int(sys.argv[2])); print(flush=True); sys.stdin.read()"
#: A new mount namespace has copies of our mounts, which would keep devices busy that we unmount: they go first.
_MOUNTER = """
awk -v below="$2/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | xargs -r umount --
mount -t ext4 -o ro,noload -- "$0" "$1" && echo && exec cat
"""


class LinuxWorld(World):
    """The real kernel. Its devices are its own: each has a number that this world made and removes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LinuxKernel(), folder)
        self.rundown = has_rundown()
        self.has_diskseq = has_diskseq()
        self.keeps_leftovers = not opens_drop_partitions()
        self.takes_past_the_end = takes_past_the_end()
        self._numbers: list[int] = []

    def end(self) -> None:
        """Undo it all, detach what is bound below the folder, and remove the numbers."""
        super().end()
        guard.clear_below(self.folder)
        for number in self._numbers:
            _remove(number)

    def image(self, size_bytes: int = IMAGE_BYTES, content: Content = "pattern") -> Path:
        """Make an image with what it is said to hold."""
        path = self.new_path(content)
        make_image(path, size_bytes=size_bytes, fs="ext4" if content == "ext4" else None)
        if content == "swap":
            path.chmod(0o600)
            oracle.run(require_tool("mkswap"), path)
        return path

    def table_image(self, *places: Place) -> Path:
        """Write the MBR."""
        path = self.image()
        tables.write(path, tables.mbr(*places))
        return path

    def new_number(self) -> int:
        """Make a device."""
        return self.next_free(_SOURCE.choice(OWN_NUMBERS))

    def next_free(self, after: int) -> int:
        """Note the number, so that it is removed in the end."""
        number = self.kernel.next_free(after)
        self._numbers.append(number)
        return number

    def is_attached(self, one: Attached) -> bool:
        """Ask sysfs by other code than the one that is tested."""
        backing = rawloop.backing_file(one.number)
        if backing is None or not self.has_diskseq:
            return backing is not None and backing.startswith(bytes(self.folder))
        return oracle.diskseq(one.number) == one.diskseq

    def attach_foreign(self, image: Path) -> int:
        """Attach an image by losetup(8)."""
        return self._losetup(image)

    def _losetup(self, backing: Path) -> int:
        number = self.new_number()
        oracle.run("losetup", "-r", "-P", rawloop.node(number), backing)
        return number

    def add_partition(self, number: int, partition: int, start_bytes: int, size_bytes: int) -> None:
        """Add a partition by BLKPG."""
        with rawloop.opened(rawloop.node(number)) as descriptor:
            rawloop.add_partition(descriptor, partition, start_bytes, size_bytes)

    def open_elsewhere(self, where: Where, *, exclusive: bool = False) -> Elsewhere:
        """Start a child that opens a node and waits."""
        flags = os.O_RDONLY | (os.O_EXCL if exclusive else 0)
        return self._child([sys.executable, "-I", "-S", "-c", _OPENER, str(_node(where)), str(flags)])

    def _child(self, command: Sequence[str]) -> Elsewhere:
        """Start a process that says a line when it is ready, and ends with its input."""
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        close = functools.partial(_end, child)
        self.undo.callback(close)
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n", f"{command} did not start"
        return Elsewhere(child.pid, close)

    def mount(self, where: Where, *, point: bytes | None = None, ours: bool = True, busy: bool = False) -> Mounted:
        """Mount by mount(8), elsewhere in a child's own namespace."""
        if point is None:
            path = self.new_path("mount")
            path.mkdir()
            point = bytes(path)
        node, folder = str(_node(where)), os.fsdecode(point)
        if not ours:
            child = self._child(
                ["unshare", "-m", "--propagation", "private", "sh", "-c", _MOUNTER, node, folder, str(self.folder)]
            )
            return Mounted(point, child.pid)
        oracle.run("mount", "-t", "ext4", "-o", "ro,noload", "--", node, folder)
        self.undo.callback(_try, "umount", "--", folder)
        if busy:
            self.undo.callback(os.close, os.open(point, os.O_RDONLY | os.O_DIRECTORY))
        return Mounted(point, os.getpid())

    def swap_on(self, number: int) -> None:
        """Run swapon(8)."""
        oracle.run(require_tool("swapon"), rawloop.node(number))
        self.undo.callback(_try, "swapoff", rawloop.node(number))

    def swap_off(self, number: int) -> None:
        """Run swapoff(8)."""
        oracle.run(require_tool("swapoff"), rawloop.node(number))

    def stack_dm(self, number: int, name: str) -> None:
        """Make a linear target by dmsetup(8)."""
        node = rawloop.node(number)
        sectors = self.kernel.size_bytes(number) // SECTOR_BYTES
        oracle.run("dmsetup", "create", name, "--readonly", "--table", f"0 {sectors} linear {node} 0")
        self.undo.callback(_try, "dmsetup", "remove", name)

    def unstack(self, name: str) -> None:
        """Remove it."""
        oracle.run("dmsetup", "remove", name)

    def stack_loop(self, number: int) -> int:
        """Attach a node to another device by losetup(8), which goes before the lower one."""
        upper = self._losetup(rawloop.node(number))
        self.undo.callback(_try, "losetup", "-d", rawloop.node(upper))
        return upper


@functools.cache
def missing_abilities() -> frozenset[Ability]:
    """Return what this machine cannot do."""
    needs: dict[Ability, Sequence[str]] = {
        "swap": ("test", "-e", "/proc/swaps"),
        "device mapper": ("dmsetup", "version"),
        "mount namespaces": ("unshare", "-m", "true"),
    }
    return frozenset(ability for ability, command in needs.items() if not _try(*command))


def _node(where: Where) -> Path:
    return rawloop.node(where) if isinstance(where, int) else rawloop.node(*where)


def _try(command: str, *arguments: str | os.PathLike[str]) -> bool:
    """Run a tool that may be missing or may fail, and say whether it succeeded."""
    path = find_tool(command)
    if path is None:
        return False
    with suppress(subprocess.CalledProcessError):
        oracle.run(path, *arguments)
        return True
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    with child:
        child.kill()


def _remove(number: int) -> None:
    """Remove a device, unless a stranger has taken it."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while time.monotonic() < deadline:
        try:
            rawloop.remove(number)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            time.sleep(0.005)
        else:
            return
