"""The kernel in memory."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import LoopStatus
from ntt_loops.testing._around import Around
from ntt_loops.testing._backing import ImageFile
from ntt_loops.testing._device import Use
from ntt_loops.testing._handle import MemoryHandle, opened, own
from ntt_loops.testing._lock import MemoryLock
from ntt_loops.testing._machine import Machine
from ntt_loops.testing._names import node_name
from ntt_loops.testing._programs import Programs
from ntt_loops.testing._sight import Sight
from ntt_loops.testing._world import RestOfTheWorld

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from ntt_loops._kernel.protocol import Handle, Kernel
    from ntt_loops._kernel.values import LoopConfig, Process


class MemoryKernel(Sight, Programs, Around, RestOfTheWorld):
    """A ``Kernel`` whose loop devices exist in memory only; images are real files.

    Args:
        rundown: whether LOOP_CLR_FD detaches at the last close, as since 6.11, or at once, as before (F17).
        diskseq: whether there is one, as since 5.15 (F8).
        devices: how many there are at first, as the module parameter ``max_loop`` says.
        reads_tables: whether the kernel reads partition tables by itself, as those of distributions do; cloud kernels
            do not (F32).
        max_devices: how many there can be, 2**20 if None; ENOSPC beyond.
    """

    def __init__(
        self,
        *,
        rundown: bool = True,
        diskseq: bool = True,
        reads_tables: bool = False,
        devices: int = 8,
        max_devices: int | None = None,
    ) -> None:
        self._machine = Machine(
            has_rundown=rundown,
            has_diskseq=diskseq,
            reads_tables=reads_tables,
            devices=devices,
            max_devices=max_devices,
        )
        self._detaching = MemoryLock()

    # -- this machine and this process

    def boot_id(self) -> str:
        """Return a new one after each reboot."""
        with self._machine as machine:
            return machine.boot_id

    def uptime(self) -> float:
        """Return seconds since this object was made or rebooted."""
        with self._machine as machine:
            return time.monotonic() - machine.booted_at

    def process(self) -> Process:
        """Return this process, or the one that ``as_process`` makes of it."""
        with self._machine as machine:
            return machine.processes.current()

    def is_alive(self, process: Process) -> bool | None:
        """Whether that very process lives."""
        with self._machine as machine:
            return machine.processes.is_alive(process)

    def command(self, pid: int) -> str:
        """Return the command name of a process."""
        with self._machine as machine:
            return machine.processes.command(pid)

    # -- loop-control

    def get_free(self) -> int:
        """LOOP_CTL_GET_FREE."""
        with self._machine as machine:
            return machine.free_number()

    def next_free(self, after: int) -> int:
        """Return a higher number that is not bound."""
        with self._machine as machine:
            return machine.next_free_number(after)

    # -- one device

    def open(self, number: int, *, writable: bool = False, exclusive: bool = False) -> MemoryHandle:
        """Open a device."""
        with self._machine as machine:
            path = str(self.node(number))
            use = Use(None, machine.processes.current(), object() if exclusive else None, writable)
            try:
                return opened(machine, machine.existing(number), use)
            except OSError as error:
                error.filename = path
                raise

    def configure(self, handle: Handle, image: io.FileIO, config: LoopConfig) -> None:
        """LOOP_CONFIGURE."""
        image.fileno()  # ValueError where it is closed
        with self._machine as machine:
            one = own(handle)
            one.device.bind(one.use, lambda: ImageFile(image), config)
            machine.scan(one.device)

    def get_status(self, handle: Handle, *, within: float | None = None) -> LoopStatus:
        """LOOP_GET_STATUS64."""
        with self._machine as machine:
            device = own(handle).device
            binding = device.running()
            machine.ask(device, within)
            dev, inode = binding.backing.file_id
            config = binding.config
            return LoopStatus(
                number=device.number,
                backing_dev=dev,
                backing_inode=inode,
                offset_bytes=config.offset_bytes,
                size_limit_bytes=config.size_limit_bytes,
                name=config.name,
                read_only=binding.is_read_only,
                autoclear=binding.is_autoclear,
                partscan=config.partscan,
            )

    def status_of(self, number: int, *, within: float | None = None) -> tuple[LoopStatus, int | None]:
        """Open, LOOP_GET_STATUS64, BLKGETDISKSEQ, close."""
        handle = self.open(number)
        try:
            return self.get_status(handle, within=within), self.get_diskseq(handle)
        finally:
            handle.close()

    def lock_detach(self) -> Handle | None:
        """Take the lock of the machine, if nobody has it."""
        return self._detaching.take()

    def set_autoclear(self, handle: Handle, *, on: bool, within: float | None = None) -> None:
        """LOOP_SET_STATUS64."""
        with self._machine as machine:
            device = own(handle).device
            binding = device.running()
            machine.ask(device, within)
            binding.is_autoclear = on

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD."""
        with self._machine:
            own(handle).device.clear()

    def flush(self, handle: Handle, *, within: float | None = None) -> None:
        """Fsync."""
        with self._machine as machine:
            device = own(handle).device
            machine.ask(device, within)
            device.flush()

    def close(self, handle: Handle, *, within: float | None = None) -> None:
        """Close."""
        if not handle.closed:
            own(handle).close_within(within)

    def get_diskseq(self, handle: Handle) -> int | None:
        """BLKGETDISKSEQ."""
        with self._machine as machine:
            return machine.seen_diskseq(own(handle).device)

    def get_size_bytes(self, handle: Handle) -> int:
        """BLKGETSIZE64."""
        with self._machine:
            return own(handle).device.size_bytes()

    def read(self, handle: Handle, offset_bytes: int, size_bytes: int) -> bytes:
        """Read the image's own bytes."""
        with self._machine as machine:
            device = own(handle).device
            machine.ask(device, None)
            return device.read(offset_bytes, size_bytes)

    def drop_cache(self, handle: Handle) -> None:
        """Nothing is cached."""
        own(handle)

    def delete_partition(self, handle: Handle, partition: int) -> None:
        """BLKPG_DEL_PARTITION."""
        with self._machine:
            own(handle).device.delete_partition(partition)

    # -- images

    def file_id(self, path: bytes, *, within: float | None = None) -> tuple[int, int]:
        """stat(2)."""
        with self._machine as machine:
            machine.storage.ask(os.path.abspath(path), within)
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def real_path(self, path: bytes, *, within: float | None = None) -> bytes:
        """realpath(3)."""
        with self._machine as machine:
            machine.storage.ask(os.path.abspath(path), within)
        return os.path.realpath(path)

    def may_hang(self, paths: Sequence[bytes]) -> list[bool]:
        """Whether a path lies below a folder that ``hang`` or ``remote`` named."""
        with self._machine as machine:
            return [machine.storage.may_hang(path) for path in paths]

    def is_remote_elsewhere(self) -> bool:
        """Return False: every path here is one's own."""
        return False

    def node(self, number: int, partition: int | None = None) -> str:
        """Return /dev/loopN or /dev/loopNpM, as on Linux; nothing is there."""
        return os.fsdecode(node_name(number, partition))

    def usable_node(self, number: int, partition: int | None = None) -> str:
        """Return the same."""
        return self.node(number, partition)

    def remove_stale_nodes(self) -> None:
        """Do nothing: there are none."""


if TYPE_CHECKING:
    _: type[Kernel] = MemoryKernel
