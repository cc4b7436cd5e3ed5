"""A machine in memory: real image files on devices that are none, mounted and copied by reading them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from examples.demo.machine import TAIL_BYTES
from ntt_loops import Loops, attached

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from examples.demo.machine import Kind
    from ntt_loops import LoopDevice
    from ntt_loops.testing import MemoryKernel

_SIZE_BYTES = 2**20
_CONTENT = "content"
#: Two bytes by which blkid(8) knows an ext4, and where they stand.
_MAGIC, _MAGIC_OFFSET = b"\x53\xef", 1080
_WORKER_PID, _READER_PID = 4_200_001, 4_200_002


class PlayedMachine:
    """One without root; what a file system in an image holds is the image itself, as one file."""

    def __init__(self, kernel: MemoryKernel) -> None:
        self._kernel = kernel

    def make_image(self, path: Path, kind: Kind) -> Mapping[str, str]:
        """Make an image of random bytes that looks like an ext4 to those who look at two of them."""
        content = bytearray(os.urandom(_SIZE_BYTES + (TAIL_BYTES if kind == "tail" else 0)))
        content[_MAGIC_OFFSET : _MAGIC_OFFSET + len(_MAGIC)] = _MAGIC
        path.write_bytes(content)
        return {_CONTENT: hashlib.sha256(content).hexdigest()}

    def describe(self, kind: Kind) -> str:
        """Return what such an image stands for."""
        return {
            "plain": "stands for an ext4",
            "journal": "stands for an ext4 whose journal needs recovery",
            "tail": f"stands for an ext4 with {TAIL_BYTES} bytes behind it",
        }[kind]

    def identify(self, device: LoopDevice) -> str:
        """Look at the two bytes."""
        with device.image.open("rb") as image:
            image.seek(_MAGIC_OFFSET)
            return "ext4" if image.read(len(_MAGIC)) == _MAGIC else "unknown"

    def mount(self, device: LoopDevice, point: Path) -> None:
        """Mount; what then lies there is a copy of the image."""
        self._kernel.mount(device.number, point)
        shutil.copyfile(device.image, point / _CONTENT)

    def unmount(self, point: Path) -> None:
        """Unmount the last mount on a point."""
        if os.fspath(point) in self.mounts_below(point.parent):
            self._kernel.unmount_elsewhere(point)

    def losetup(self, image: Path) -> str:
        """Attach like losetup(8)."""
        return os.fspath(self._kernel.node(self._kernel.attach_foreign(image)))

    @contextlib.contextmanager
    def read_elsewhere(self, device: str) -> Iterator[None]:
        """Play a process that keeps the device open."""
        number = int(device.removeprefix("/dev/loop"))
        handle = self._kernel.open_elsewhere(number, pid=_READER_PID, command="cat")
        try:
            yield
        finally:
            handle.close()

    def kill_worker(self, image: Path, point: Path) -> str:
        """Play a process that attaches, mounts, and never comes to its end."""
        never_left = contextlib.ExitStack()
        with self._kernel.as_process(_WORKER_PID):
            device = never_left.enter_context(attached(image))
        self.mount(device, point)
        self._kernel.kill(_WORKER_PID)
        return str(device)

    def other_ledger(self, run_dir: Path) -> Loops:
        """Keep another ledger of the same devices."""
        return Loops(run_dir, self._kernel)

    def devices_below(self, folder: Path) -> list[str]:
        """Ask the kernel in memory, not the library."""
        bound = [one for number in self._kernel.bound_numbers() if (one := self._kernel.look(number)) is not None]
        below = os.fsencode(folder) + b"/"
        return [os.fspath(self._kernel.node(one.number)) for one in bound if one.backing_file.startswith(below)]

    def mounts_below(self, folder: Path) -> list[str]:
        """Ask the kernel in memory, not the library."""
        points = [os.fsdecode(mount.mount_point) for mount in self._kernel.mounts()]
        return [point for point in points if point.startswith(f"{folder}/")]

    def witness(self) -> str:
        """Return who was asked."""
        return "the kernel in memory"
