"""The rest of the world: what others do with the devices, for tests to say."""

from __future__ import annotations

import errno
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import NAME_BYTES, LoopConfig, Mount
from ntt_loops.testing._backing import ImageFile, LowerDevice
from ntt_loops.testing._device import Use
from ntt_loops.testing._failures import failure
from ntt_loops.testing._handle import ForeignHandle
from ntt_loops.testing._names import node_name
from ntt_loops.testing._users import MountEntry, Stacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._kernel.values import Process
    from ntt_loops.testing._device import Device
    from ntt_loops.testing._machine import Machine
    from ntt_loops.testing._names import AnyPath, Where

#: Processes that cannot be: pids end at 4194304.
OTHER_PID = 4_200_000
LOSETUP_PID = 4_200_001


class RestOfTheWorld:
    """Controls of the kernel in memory. None of them is a call that the library makes."""

    _machine: Machine

    # -- mounts, swap, and what is stacked

    def mount(  # noqa: PLR0913 - a mount has that many sides
        self,
        where: Where,
        mount_point: AnyPath,
        fstype: str = "ext4",
        *,
        ours: bool = True,
        pid: int | None = None,
        busy: bool = False,
    ) -> None:
        """Mount a device or a partition. Not ours: in the namespace of ``pid``, of nobody where that is None."""
        with self._machine as machine:
            device, partition = _split(machine, where)
            device.running()
            use = Use(partition, claim=(fstype, partition))
            device.open(use)
            point = os.fsencode(mount_point)
            mount = None
            if ours or pid is not None:
                rdev = device.rdev_of(partition)
                source = node_name(device.number, partition)
                mount = Mount(rdev, point, fstype, source, *_mounter(machine, pid), ours)
            machine.users.mounts.append(MountEntry(point, mount, device, use, busy))

    def unmount_elsewhere(self, mount_point: AnyPath) -> None:
        """Take a mount away in whatever namespace it is, busy or not, as if somebody else had."""
        with self._machine as machine:
            entry = machine.users.mount_at(os.fsencode(mount_point))
            if entry is None:
                raise failure(errno.EINVAL)
            machine.users.end(entry)

    def swap_on(self, where: Where) -> None:
        """Swap on a device or a partition."""
        with self._machine as machine:
            device, partition = _split(machine, where)
            use = Use(partition, claim="swap")
            device.running()
            device.open(use)
            rdev = device.rdev_of(partition)
            machine.users.swaps[rdev] = node_name(device.number, partition), device, use

    def swap_off(self, where: Where) -> None:
        """End that."""
        with self._machine as machine:
            device, partition = _split(machine, where)
            _, _, use = machine.users.swaps.pop(device.rdev_of(partition))
            device.close(use)

    def stack_dm(self, where: Where, name: str) -> None:
        """Put a device-mapper device of that name on a device or a partition."""
        with self._machine as machine:
            device, partition = _split(machine, where)
            use = Use(partition, claim=("device-mapper", name))
            device.open(use)
            machine.users.stacked[name] = Stacked(f"dm-{len(machine.users.stacked)}", device, use)

    def unstack(self, name: str) -> None:
        """Take it away."""
        with self._machine as machine:
            stacked = machine.users.stacked.pop(name)
            stacked.device.close(stacked.use)

    def stack_loop(self, where: Where) -> int:
        """Attach a device or a partition to another loop device, and return its number."""
        with self._machine as machine:
            device, partition = _split(machine, where)
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
            device, partition = _split(machine, where)
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


def _split(machine: Machine, where: Where) -> tuple[Device, int | None]:
    number, partition = (where, None) if isinstance(where, int) else where
    return machine.existing(number), partition


def _mounter(machine: Machine, pid: int | None) -> tuple[int, str]:
    process = machine.processes.current() if pid is None else machine.processes.living(pid, "sh")
    return process.pid, machine.processes.command(process.pid)


def _opened_free(machine: Machine, process: Process | None, *, writable: bool) -> tuple[Device, Use]:
    device = machine.existing(machine.free_number())
    use = Use(None, process, is_writable=writable)
    device.open(use)
    return device, use
