"""The machine's state: its devices and its lock. ``MemoryKernel`` asks it, ``RestOfTheWorld`` changes it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Self

import attrs

from ntt_loops._kernel.machine import Machine as Facts
from ntt_loops._kernel.values import SECTOR_BYTES, PartitionNode
from ntt_loops.testing import _files
from ntt_loops.testing._contents import Contents
from ntt_loops.testing._device import Device, Use
from ntt_loops.testing._failures import failure
from ntt_loops.testing._mbr import read_mbr
from ntt_loops.testing._processes import Processes
from ntt_loops.testing._storage import Storage
from ntt_loops.testing._users import Stacked, Users

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ntt_loops._kernel.values import TableEntry
    from ntt_loops.testing._names import Where

_LOOP_MAJOR = 7
_PARTITION_MAJOR = 259
_MAPPER_MAJOR = 253
#: Minor numbers have 20 bits.
_NUMBERS = 1 << 20


class Machine:
    """Everything there is, to be used within its ``with`` block only."""

    def __init__(
        self, *, has_rundown: bool, has_diskseq: bool, reads_tables: bool, devices: int, max_devices: int | None
    ) -> None:
        self.has_diskseq = has_diskseq
        self._reads_tables = reads_tables
        self._has_rundown = has_rundown
        self._first_devices = devices
        self.facts = Facts()
        self.max_devices = _NUMBERS if max_devices is None else max_devices
        self._lock = threading.RLock()
        self._collected: deque[tuple[Device, Use]] = deque()
        self.boot()

    def boot(self) -> None:
        """Start as after power on."""
        self.boot_id = str(uuid.uuid4())
        self.booted_at = time.monotonic()
        self.processes = Processes()
        self.storage = Storage()
        self.users = Users()
        self.contents = Contents()
        #: The options of mounts, by mount point.
        self.options: dict[bytes, str] = {}
        self.devices: dict[int, Device] = {}
        self._left_behind: list[tuple[Device, Use]] = []
        self._diskseqs = itertools.count(1)
        self._minors = itertools.count(0)
        self._mapped = itertools.count(0)
        for number in range(self._first_devices):
            self._make(number)

    def power_off(self) -> None:
        """Take everything away, without a word to anybody."""
        for entry in self.users.mounts:
            _files.take_away(entry.mount_point, entry.files)
        for device in self.devices.values():
            for use in device.uses:
                use.is_open = False
            if device.binding is not None:
                device.binding.backing.close()

    def __enter__(self) -> Self:
        self._lock.acquire()
        while self._collected:
            self.let_go(*self._collected.popleft())
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def collect(self, device: Device, use: Use) -> None:
        """Close it at the next occasion: a collection may come at any line, also while the devices are changed."""
        self._collected.append((device, use))

    # -- storage that does not answer

    def is_hung(self, device: Device) -> bool:
        """Whether what a device is bound to does not answer."""
        return device.binding is not None and self.storage.is_hung(device.binding.backing.path())

    def ask(self, device: Device | Stacked, within: float | None) -> None:
        """Touch the backing file of a device."""
        if isinstance(device, Device) and device.binding is not None:
            self.storage.ask(device.binding.backing.path(), within)

    def would_hang_at_close_of(self, device: Device, use: Use) -> bool:
        """Whether that close waits for storage that does not answer."""
        return device.unbinds_or_writes_at_close_of(use) and self.is_hung(device)

    def let_go(self, device: Device, use: Use) -> None:
        """Close it, by a process that is left behind where the close hangs."""
        if not use.is_open:
            return
        if self.would_hang_at_close_of(device, use):
            left = attrs.evolve(use, process=None)
            self._left_behind.append((device, left))
            device.uses.append(left)
        device.close(use)

    def wake(self) -> None:
        """End the closes whose storage answers again."""
        waiting, self._left_behind = self._left_behind, []
        for device, use in waiting:
            self.let_go(device, use)

    # -- devices

    def all_devices(self) -> list[Device]:
        """Return the devices by number."""
        return [self.devices[number] for number in sorted(self.devices)]

    def bound_devices(self) -> list[Device]:
        """Return those with something bound, rundown included."""
        return [device for device in self.all_devices() if device.binding is not None]

    def existing(self, number: int, path: str | None = None) -> Device:
        """Return a device; ENOENT where there is none."""
        if number not in self.devices:
            raise failure(errno.ENOENT, path)
        return self.devices[number]

    def split(self, where: Where) -> tuple[Device, int | None]:
        """Return a device and the number of a partition, if one is meant."""
        number, partition = (where, None) if isinstance(where, int) else where
        return self.existing(number), partition

    def stack(self, name: str, places: Sequence[Where | str]) -> None:
        """Put a device-mapper device on others."""
        below = []
        for device, partition in (self.split(one) for one in places if not isinstance(one, str)):
            use = Use(partition, claim=("device-mapper", name))
            device.open(use)
            below.append((device, use))
        lower = [self.users.stacked[one] for one in places if isinstance(one, str)]
        minor = next(self._mapped)
        stacked = Stacked(f"dm-{minor}", name, os.makedev(_MAPPER_MAJOR, minor), below, lower)
        for one in lower:
            one.upper.append(stacked)
        self.users.stacked[name] = stacked

    def free_number(self) -> int:
        """LOOP_CTL_GET_FREE: the lowest device that is not bound, else a new one."""
        for device in self.all_devices():
            if device.binding is None:
                return device.number
        return self._make(next(number for number in itertools.count() if number not in self.devices)).number

    def next_free_number(self, after: int) -> int:
        """Return the next number that is not bound, made by LOOP_CTL_ADD."""
        numbers = itertools.count(after + 1)
        number = next(one for one in numbers if one not in self.devices or self.devices[one].binding is None)
        if number >= _NUMBERS:
            raise failure(errno.EINVAL)
        return number if number in self.devices else self._make(number).number

    def _make(self, number: int) -> Device:
        if len(self.devices) >= self.max_devices:
            raise failure(errno.ENOSPC)
        rdev = os.makedev(_LOOP_MAJOR, number)
        device = Device(number, rdev, self._next_diskseq(), self._has_rundown, self._next_diskseq)
        self.devices[number] = device
        return device

    def _next_diskseq(self) -> int:
        return next(self._diskseqs)

    def seen_diskseq(self, device: Device) -> int | None:
        """Return the diskseq as far as this kernel has one."""
        return device.diskseq if self.has_diskseq else None

    def new_partition(self, number: int, partition: int, start_bytes: int, size_bytes: int) -> PartitionNode:
        """Return a partition with a device number of its own."""
        rdev = os.makedev(_PARTITION_MAJOR, next(self._minors))
        return PartitionNode(partition, f"loop{number}p{partition}", start_bytes, size_bytes, rdev)

    def table_of(self, device: Device) -> tuple[TableEntry, ...]:
        """Return the partition table on a device."""
        binding = device.running()
        put = self.contents.table_at(binding.backing.file_id, binding.config.offset_bytes)
        return put or read_mbr(device.read(0, SECTOR_BYTES))

    def scan(self, device: Device) -> None:
        """Read the table after a LOOP_CONFIGURE with PARTSCAN, if this kernel does: it cuts what is too long (F55)."""
        if not self._reads_tables or device.binding is None or not device.binding.config.partscan:
            return
        for entry in self.table_of(device):
            room_bytes = device.size_bytes() - entry.start_bytes
            if room_bytes > 0:
                size_bytes = min(_shown_bytes(entry), room_bytes)
                node = self.new_partition(device.number, entry.number, entry.start_bytes, size_bytes)
                device.partitions[entry.number] = node

    def add_of_table(self, device: Device, entry: TableEntry) -> None:
        """Do what ``partx --add`` does; what the kernel refuses it does not get."""
        node = self.new_partition(device.number, entry.number, entry.start_bytes, _shown_bytes(entry))
        with contextlib.suppress(OSError):
            device.add_partition(node)

    def uses_of(self, rdevs: frozenset[int]) -> Iterator[tuple[Device, Use]]:
        """Yield who has one of these devices open."""
        for device in self.all_devices():
            for use in device.uses:
                if device.rdev_of(use.partition) in rdevs:
                    yield device, use


def _shown_bytes(entry: TableEntry) -> int:
    """Return how much of a partition the kernel shows: of an extended one its own table only."""
    return min(entry.size_bytes, 2 * SECTOR_BYTES) if entry.is_extended else entry.size_bytes
