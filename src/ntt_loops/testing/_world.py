"""The rest of the world: what others do with the devices, for tests to say."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import NAME_BYTES, LoopConfig, Probe
from ntt_loops.testing import _files
from ntt_loops.testing._backing import ImageFile, LowerDevice
from ntt_loops.testing._contents import Content
from ntt_loops.testing._device import Use
from ntt_loops.testing._handle import ForeignHandle
from ntt_loops.testing._mounts import MountsElsewhere
from ntt_loops.testing._names import node_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ntt_loops._kernel.values import Process, TableEntry
    from ntt_loops.testing._contents import Hang
    from ntt_loops.testing._device import Device
    from ntt_loops.testing._machine import Machine
    from ntt_loops.testing._names import AnyPath, Where

#: Processes that cannot be: pids end at 4194304.
OTHER_PID = 4_200_000
LOSETUP_PID = 4_200_001


class RestOfTheWorld(MountsElsewhere):
    """Controls of the kernel in memory. None of them is a call that the library makes."""

    _machine: Machine

    def device_numbers(self) -> list[int]:
        """Return the numbers of all devices there are, bound or not."""
        with self._machine as machine:
            return sorted(machine.devices)

    # -- what is stacked, and partitions

    def stack_loop(self, where: Where) -> int:
        """Attach a device or a partition to another loop device, and return its number."""
        with self._machine as machine:
            device, partition = machine.split(where)
            upper, use = _opened_free(machine, None, writable=False)
            below = Use(partition)
            device.open(below)
            node = node_name(device.number, partition)
            backing = LowerDevice(device, partition, node, device.rdev_of(partition))
            upper.bind(use, lambda: backing, LoopConfig(node)).below = device, below
            upper.close(use)
            return upper.number

    def add_partition(self, number: int, partition: int, start_bytes: int, size_bytes: int) -> None:
        """Add a partition, as partx(8) does."""
        with self._machine as machine:
            node = machine.new_partition(number, partition, start_bytes, size_bytes)
            machine.existing(number).add_partition(node)

    # -- other processes

    def open_elsewhere(
        self,
        where: Where,
        *,
        pid: int = OTHER_PID,
        command: str = "other",
        exclusive: bool = False,
        writable: bool = False,
    ) -> ForeignHandle:
        """Open a device or a partition in another process, until its close or ``kill``."""
        with self._machine as machine:
            device, partition = machine.split(where)
            process = machine.processes.living(pid, command)
            use = Use(partition, process, object() if exclusive else None, writable)
            device.open(use)
            return ForeignHandle(machine, device, use)

    def attach_foreign(  # noqa: PLR0913 - losetup(8) has that many options
        self,
        image: AnyPath,
        *,
        read_only: bool = True,
        partscan: bool = True,
        autoclear: bool = False,
        name: bytes | None = None,
        pid: int = LOSETUP_PID,
        command: str = "losetup",
    ) -> int:
        """Attach like losetup(8), and return the number. With ``autoclear`` that process keeps the device open."""
        config = LoopConfig(os.fsencode(image)[:NAME_BYTES] if name is None else name, read_only, autoclear, partscan)
        with io.FileIO(os.fsencode(image), "rb" if read_only else "r+b") as file, self._machine as machine:
            device, use = _opened_free(machine, machine.processes.living(pid, command), writable=not read_only)

            try:
                device.bind(use, lambda: ImageFile(file), config)
                machine.scan(device)
            finally:
                if device.binding is None or not autoclear:
                    device.close(use)
            return device.number

    @contextmanager
    def as_process(self, pid: int, command: str = "python3") -> Iterator[Process]:
        """Make this thread another process for a while: its handles stay open until they are closed or it is killed."""
        with self._machine as machine:
            process = machine.processes.living(pid, command)
        with machine.processes.played(process):
            yield process

    def kill(self, pid: int) -> None:
        """End a process: its handles are closed, and its mount namespace goes with it."""
        with self._machine as machine:
            machine.processes.kill(pid)
            for device in machine.all_devices():
                for use in [one for one in device.uses if one.process is not None and one.process.pid == pid]:
                    machine.let_go(device, use)
            machine.users.end_namespaces_of(pid)

    # -- what images hold

    def format(  # noqa: PLR0913 - what blkid(8) says, and how mount(8) fares
        self,
        image: AnyPath,
        type: str,  # noqa: A002 - blkid's word
        *,
        offset_bytes: int = 0,
        usage: str = "filesystem",
        table: str = "",
        version: str = "",
        refusal: str = "",
        hang: Hang = "",
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Say what blkid(8) finds at a byte of an image; nothing at all where this was not said.

        ``refusal`` is what mount(8) says instead of mounting it. With ``hang`` it is killed at its deadline, and has
        mounted it all the same or not. ``files``, by their names, lie on the mount point while the library has it
        mounted there; that folder must be empty.
        """
        found = os.stat(image)
        content = Content(Probe(type, usage, table, version), refusal, hang, _files.checked(files or {}))
        with self._machine as machine:
            machine.contents.put((found.st_dev, found.st_ino), offset_bytes, content)

    def put_table(self, image: AnyPath, *entries: TableEntry, offset_bytes: int = 0) -> None:
        """Say that a partition table begins at a byte of an image; one without entries is one that cannot be read."""
        found = os.stat(image)
        with self._machine as machine:
            machine.contents.put_table((found.st_dev, found.st_ino), offset_bytes, entries)

    # -- storage and power

    def fail_flush(self, number: int) -> None:
        """Let what was written be lost: the next flush says EIO, the one after it success (F18)."""
        with self._machine as machine:
            machine.existing(number).running().is_flush_failing = True

    def remote(self, folder: AnyPath) -> None:
        """Say that a folder lies on a server that may hang; it answers."""
        with self._machine as machine:
            machine.storage.put_away(folder, is_hung=False)

    def hang(self, folder: AnyPath) -> None:
        """Let a folder's server answer no more (F21): StuckError with ``within``, AssertionError without."""
        with self._machine as machine:
            machine.storage.put_away(folder, is_hung=True)

    def unhang(self, folder: AnyPath) -> None:
        """Let it answer again; a close that waited for it is done now."""
        with self._machine as machine:
            machine.storage.put_away(folder, is_hung=False)
            machine.wake()

    def reboot(self) -> None:
        """Start anew: another boot id, nothing bound, diskseq and start times from 1 again, every handle closed."""
        with self._machine as machine:
            machine.power_off()
            machine.boot()


def _opened_free(machine: Machine, process: Process | None, *, writable: bool) -> tuple[Device, Use]:
    device = machine.existing(machine.free_number())
    use = Use(None, process, is_writable=writable)
    device.open(use)
    return device, use
