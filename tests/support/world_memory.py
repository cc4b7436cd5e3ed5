"""The world of the kernel in memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import SECTOR_BYTES, TableEntry
from ntt_loops.testing import MemoryKernel
from tests.support.world import IMAGE_BYTES, Content, Elsewhere, Mounted, Place, Where, World

if TYPE_CHECKING:
    from pathlib import Path


class MemoryWorld(World):
    """Controls of ``MemoryKernel``, one to one."""

    def __init__(self, folder: Path, *, rundown: bool, memory: MemoryKernel | None = None) -> None:
        self.memory = MemoryKernel(rundown=rundown) if memory is None else memory
        super().__init__(self.memory, folder)
        self.rundown = rundown
        self.has_diskseq = True
        self.keeps_leftovers = True
        self.takes_past_the_end = False
        self._pids = itertools.count(5_000_000)

    def image(self, size_bytes: int = IMAGE_BYTES, content: Content = "pattern") -> Path:
        """Make an image, and say what blkid(8) finds in it."""
        path = super().image(size_bytes, content)
        if content != "pattern":
            self.memory.format(path, content, usage="other" if content == "swap" else "filesystem")
        return path

    def table_image(self, *places: Place) -> Path:
        """Say that the image has that table."""
        path = self.image()
        entries = (
            TableEntry(number, start * SECTOR_BYTES, length * SECTOR_BYTES, hex(kind), "dos")
            for number, (start, length, kind) in enumerate(places, 1)
        )
        self.memory.put_table(path, *entries)
        return path

    def new_number(self) -> int:
        """Return the lowest free one."""
        return self.memory.get_free()

    def attach_foreign(self, image: Path) -> int:
        """Attach an image."""
        return self.memory.attach_foreign(image)

    def add_partition(self, number: int, partition: int, start_bytes: int, size_bytes: int) -> None:
        """Add a partition."""
        self.memory.add_partition(number, partition, start_bytes, size_bytes)

    def open_elsewhere(self, where: Where, *, exclusive: bool = False) -> Elsewhere:
        """Open a device in a process that is none."""
        pid = next(self._pids)
        handle = self.memory.open_elsewhere(where, pid=pid, exclusive=exclusive)
        return Elsewhere(pid, handle.close)

    def mount(self, where: Where, *, point: bytes | None = None, ours: bool = True, busy: bool = False) -> Mounted:
        """Mount nothing at a path that need not be there."""
        point = bytes(self.new_path("mount")) if point is None else point
        pid = self.memory.process().pid if ours else next(self._pids)
        self.memory.mount(where, point, ours=ours, pid=pid, busy=busy)
        return Mounted(point, pid)

    def swap_on(self, number: int) -> None:
        """Swap on a device."""
        self.memory.swap_on(number)

    def swap_off(self, number: int) -> None:
        """End that."""
        self.memory.swap_off(number)

    def stack_dm(self, number: int, name: str) -> None:
        """Put a device-mapper device on a device."""
        self.memory.stack_dm(number, name)

    def unstack(self, name: str) -> None:
        """Take it away."""
        self.memory.unstack(name)

    def stack_loop(self, number: int) -> int:
        """Attach a device to another one."""
        return self.memory.stack_loop(number)
