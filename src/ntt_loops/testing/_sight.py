"""What can be seen without opening a device: sysfs, and who uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._kernel.values import BoundDevice, LoopFlags, Opener
from ntt_loops.testing._backing import LowerDevice
from ntt_loops.testing._names import node_name

if TYPE_CHECKING:
    from ntt_loops._kernel.values import Mount, PartitionNode, StackedDevice
    from ntt_loops.testing._machine import Machine


class Sight:
    """The half of ``MemoryKernel`` that changes nothing."""

    _machine: Machine

    # -- sysfs

    def bound_numbers(self) -> list[int]:
        """Return the numbers of all bound devices."""
        with self._machine as machine:
            return [device.number for device in machine.bound_devices()]

    def is_bound(self, number: int) -> bool:
        """Whether anything is bound."""
        return self.look(number) is not None

    def look(self, number: int) -> BoundDevice | None:
        """Return what is bound to a number."""
        with self._machine as machine:
            device = machine.devices.get(number)
            if device is None or device.binding is None:
                return None
            return BoundDevice(number, machine.seen_diskseq(device), device.binding.backing.path())

    def diskseq(self, number: int) -> int | None:
        """Return sysfs' diskseq."""
        with self._machine as machine:
            device = machine.devices.get(number)
            return None if device is None else machine.seen_diskseq(device)

    def flags(self, number: int) -> LoopFlags:
        """Return the flags of a bound device."""
        with self._machine as machine:
            binding = machine.existing(number).binding
            if binding is None:
                return LoopFlags(read_only=True, autoclear=False, partscan=False)
            return LoopFlags(binding.is_read_only, binding.is_autoclear, binding.config.partscan)

    def size_bytes(self, number: int) -> int:
        """Return sysfs' size."""
        with self._machine as machine:
            device = machine.devices.get(number)
            return 0 if device is None else device.size_bytes()

    def rdev(self, number: int) -> int | None:
        """Return the device number."""
        with self._machine as machine:
            device = machine.devices.get(number)
            return None if device is None else device.rdev

    def partitions(self, number: int) -> list[PartitionNode]:
        """Return the partitions of a device."""
        with self._machine as machine:
            device = machine.devices.get(number)
            return [] if device is None else [node for _, node in sorted(device.partitions.items())]

    # -- who uses it

    def mounts(self, *, only_ours: bool = False) -> list[Mount]:
        """Return the mounts in every namespace that a process lives in, or only in this one."""
        with self._machine as machine:
            return [one for one in machine.users.seen_mounts() if one.is_ours or not only_ours]

    def mount_points(self) -> list[bytes]:
        """Return the mount points of this namespace."""
        with self._machine as machine:
            return [entry.mount_point for entry in machine.users.mounts if entry.is_ours]

    def users(self, rdevs: frozenset[int]) -> list[Opener]:
        """Return who works on busy mounts: this process."""
        with self._machine as machine:
            pid = machine.processes.current().pid
            command = machine.processes.command(pid)
            busy = (one for one in machine.users.mounts if one.is_busy)
            return [Opener(pid, command, one.mount_point, one.rdev) for one in busy if one.rdev in rdevs]

    def openers(self, rdevs: frozenset[int], *, pid: int | None = None) -> list[Opener]:
        """Return the processes with a descriptor of one of these devices; or look at one process only."""
        with self._machine as machine:
            found = {
                (use.process.pid, node_name(device.number, use.partition), device.rdev_of(use.partition))
                for device, use in machine.uses_of(rdevs)
                if use.process is not None and pid in {None, use.process.pid}
            }
            names = machine.processes
            return [Opener(user, names.command(user), path, rdev) for user, path, rdev in sorted(found)]

    def swaps(self) -> list[tuple[int, bytes]]:
        """Return the devices that are swapped on."""
        with self._machine as machine:
            return [(rdev, path) for rdev, (path, _, _) in machine.users.swaps.items()]

    def sysfs_holders(self, number: int) -> list[tuple[str, str]]:
        """Return what is stacked on a device or its partitions."""
        with self._machine as machine:
            stacked = machine.users.stacked.values()
            return sorted((one.kernel_name, one.own_name) for one in stacked if one.stands_on(number))

    def stacked(self, name: str) -> StackedDevice | None:
        """Return a device-mapper device."""
        with self._machine as machine:
            one = machine.users.stacked_as(name)
            return None if one is None else one.seen()

    def loops_on(self, rdevs: frozenset[int]) -> list[tuple[int, int]]:
        """Return the loop devices whose backing file is one of these devices."""
        with self._machine as machine:
            bound = [(device.number, device.binding) for device in machine.bound_devices()]
            backings = [(number, binding.backing) for number, binding in bound if binding is not None]
            stacked = [(number, one.rdev) for number, one in backings if isinstance(one, LowerDevice)]
            return [(number, rdev) for number, rdev in stacked if rdev in rdevs]
