"""Mounts, swap and device mapper: what others do with the devices, for tests to say."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import Mount
from ntt_loops.testing._device import Use
from ntt_loops.testing._failures import failure
from ntt_loops.testing._names import node_name
from ntt_loops.testing._users import MountEntry

if TYPE_CHECKING:
    from ntt_loops.testing._machine import Machine
    from ntt_loops.testing._names import AnyPath, Where


class MountsElsewhere:
    """Controls of the kernel in memory. None of them is a call that the library makes."""

    _machine: Machine

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
            device, partition = machine.split(where)
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
            device, partition = machine.split(where)
            use = Use(partition, claim="swap")
            device.running()
            device.open(use)
            rdev = device.rdev_of(partition)
            machine.users.swaps[rdev] = node_name(device.number, partition), device, use

    def swap_off(self, where: Where) -> None:
        """End that."""
        with self._machine as machine:
            device, partition = machine.split(where)
            _, _, use = machine.users.swaps.pop(device.rdev_of(partition))
            device.close(use)

    def stack_dm(self, where: Where | str, name: str, *also: Where | str) -> None:
        """Put a device-mapper device of that name on devices, partitions, or others of its kind by their names."""
        with self._machine as machine:
            machine.stack(name, (where, *also))

    def unstack(self, name: str) -> None:
        """Take it away, whatever stands on it."""
        with self._machine as machine:
            machine.users.stacked.pop(name).close()

    def mount_dm(self, name: str, mount_point: AnyPath, fstype: str = "ext4", *, busy: bool = False) -> None:
        """Mount a device-mapper device."""
        with self._machine as machine:
            stacked = machine.users.stacked[name]
            point = os.fsencode(mount_point)
            source = os.fsencode(f"/dev/mapper/{name}")
            mount = Mount(stacked.rdev, point, fstype, source, *_mounter(machine, None), is_ours=True)
            entry = MountEntry(point, mount, stacked, None, busy)
            stacked.upper.append(entry)
            machine.users.mounts.append(entry)


def _mounter(machine: Machine, pid: int | None) -> tuple[int, str]:
    process = machine.processes.current() if pid is None else machine.processes.living(pid, "sh")
    return process.pid, machine.processes.command(process.pid)
