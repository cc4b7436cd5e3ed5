"""What system programs do: blkid(8), mount(8), umount(8), dmsetup(8), partx(8)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops._kernel.protocol import StuckError
from ntt_loops._kernel.values import Mount, Probe
from ntt_loops.testing import _files
from ntt_loops.testing._contents import Content, parsed, refused
from ntt_loops.testing._device import Use
from ntt_loops.testing._handle import own
from ntt_loops.testing._names import node_name
from ntt_loops.testing._users import MountEntry

if TYPE_CHECKING:
    from ntt_loops._kernel.protocol import Handle
    from ntt_loops._kernel.values import TableEntry
    from ntt_loops.testing._device import Device
    from ntt_loops.testing._machine import Machine
    from ntt_loops.testing._names import AnyPath


class Programs:
    """The part of ``MemoryKernel`` that stands for programs."""

    _machine: Machine

    def probe(self, node: str | os.PathLike[str], *, offset_bytes: int = 0, within: float) -> Probe:
        """Say what was put there."""
        with self._machine as machine:
            found = _device_of(machine, node)
            if found is None:
                return Probe()
            machine.ask(found[0], within)
            return _content(machine, *found, offset_bytes).probe

    def mount_node(
        self, node: str | os.PathLike[str], mount_point: bytes, *, fstype: str, options: str, within: float
    ) -> None:
        """Mount what was put there, if it is of one of these types."""
        point = os.fsdecode(mount_point)
        with self._machine as machine:
            if not os.path.isdir(mount_point):
                raise OSError(errno.EIO, f"mount: {point}: mount point does not exist.")
            found = _device_of(machine, node)
            if found is None:
                raise OSError(errno.EIO, f"mount: {point}: special device {os.fspath(node)} does not exist.")
            machine.ask(found[0], within)
            content = _content(machine, *found, 0)
            if content.refusal or content.probe.type not in fstype.split(","):
                raise OSError(errno.EIO, content.refusal or refused(node, mount_point))
            if content.hang != "unmounted":
                _mount(machine, *found, mount_point, content)
            machine.options[mount_point] = options
            if content.hang:
                message = f"mount did not end within {within:.1f} s"
                raise StuckError(message)

    def unmount(self, mount_point: bytes, *, within: float) -> None:
        """Do what umount(8) does, and say what it says."""
        with self._machine as machine:
            entry = machine.users.mount_at(mount_point, ours=True)
            if entry is None:
                raise OSError(errno.EBUSY, f"umount: {os.fsdecode(mount_point)}: not mounted.")
            machine.ask(entry.device, within)
            if entry.is_busy:
                raise OSError(errno.EBUSY, f"umount: {os.fsdecode(mount_point)}: target is busy.")
            machine.users.end(entry)

    def partition_table(self, handle: Handle, *, within: float) -> list[TableEntry]:
        """Return the table that was put there."""
        with self._machine as machine:
            device = own(handle).device
            machine.ask(device, within)
            return [] if device.binding is None or device.is_rundown else list(machine.table_of(device))

    def add_partitions(self, handle: Handle, first: int, last: int, *, within: float) -> None:
        """Add those that the kernel takes."""
        for entry in self.partition_table(handle, within=within):
            if first <= entry.number <= last:
                with self._machine as machine:
                    machine.add_of_table(own(handle).device, entry)

    def stop_stacked(self, name: str, *, within: float) -> None:  # noqa: ARG002 - it never takes long
        """Do what ``dmsetup remove`` does, and say what it says."""
        with self._machine as machine:
            one = machine.users.stacked_as(name)
            if one is None:
                return
            if one.upper:
                message = f"device-mapper: remove ioctl on {one.own_name} failed: Device or resource busy"
                raise OSError(errno.EBUSY, message)
            machine.users.stacked.pop(one.own_name).close()

    def mount_options(self, mount_point: AnyPath) -> str:
        """Return the options that the last ``mount_node`` there was given."""
        with self._machine as machine:
            return machine.options[os.fsencode(mount_point)]


def _device_of(machine: Machine, node: str | os.PathLike[str]) -> tuple[Device, int | None] | None:
    where = parsed(node)
    device = None if where is None else machine.devices.get(where[0])
    if where is None or device is None or device.binding is None:
        return None
    if where[1] is not None and where[1] not in device.partitions:
        return None
    return device, where[1]


def _content(machine: Machine, device: Device, partition: int | None, offset_bytes: int) -> Content:
    binding = device.running()
    start = 0 if partition is None else device.partitions[partition].start_bytes
    return machine.contents.at(binding.backing.file_id, binding.config.offset_bytes + start + offset_bytes)


def _mount(machine: Machine, device: Device, partition: int | None, point: bytes, content: Content) -> None:
    fstype = content.probe.type
    use = Use(partition, claim=(fstype, partition))
    try:
        device.open(use)
    except OSError as error:
        message = f"mount: {os.fsdecode(point)}: {os.fsdecode(node_name(device.number, partition))} already mounted."
        raise OSError(errno.EIO, message) from error
    try:
        _files.put(point, content.files)
    except OSError:
        device.close(use)
        raise
    process = machine.processes.current()
    command = machine.processes.command(process.pid)
    source = node_name(device.number, partition)
    mount = Mount(device.rdev_of(partition), point, fstype, source, process.pid, command, is_ours=True)
    machine.users.mounts.append(MountEntry(point, mount, device, use, files=content.files))
