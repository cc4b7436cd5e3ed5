"""What one kernel has at one moment of a test's own: devices, mounts, and partitions without a device."""

from __future__ import annotations

import abc
import os
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops.errors import LedgerError
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ntt_loops._kernel import BoundDevice, Kernel
    from ntt_loops._ledger import Record
    from ntt_loops._world import World

#: Number and diskseq; where there is no diskseq, the path must do.
Key = tuple[int, int | bytes]


def path_of(bound: BoundDevice) -> bytes:
    """Return the image's path, without the kernel's note that it is deleted."""
    return bound.backing_file.removesuffix(DELETED_SUFFIX)


@attrs.frozen
class Sighting:
    """A look at one kernel: what is the test's own.

    Attributes:
        devices: The bound devices.
        recorded: The world that has one of them on record.
        mounts: The mount points, and how often each is mounted on.
        stale: The nodes of partitions on devices that are bound to nothing.
    """

    devices: Mapping[Key, BoundDevice]
    recorded: Mapping[Key, World]
    mounts: Counter[bytes]
    stale: frozenset[str]


@attrs.frozen
class Before:
    """All there was at the beginning, of whomever: none of it has come since."""

    devices: frozenset[Key] = frozenset()
    mounts: Counter[bytes] = attrs.field(factory=Counter)
    stale: frozenset[str] = frozenset()


class Sights(abc.ABC):
    """Looks at one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    @abc.abstractmethod
    def is_own(self, path: bytes) -> bool:
        """Whether what is bound to a path, or mounted there, is the test's own for that alone."""

    @abc.abstractmethod
    def is_on_it(self, world: World) -> bool:
        """Whether a world is one of this kernel."""

    @abc.abstractmethod
    def _is_own_record(self, record: Record, world: World) -> bool:
        """Whether a device is the test's own because it is on record."""

    @abc.abstractmethod
    def _numbers(self, own: Iterable[BoundDevice]) -> Iterable[int]:
        """Return the numbers on which a partition without a device is the test's own."""

    def before(self) -> Before:
        """Look at all there is."""
        devices = frozenset(_key_of(one) for one in self._bound())
        return Before(devices, Counter(self.kernel.mount_points()), self._all_stale())

    @abc.abstractmethod
    def _all_stale(self) -> frozenset[str]:
        """Return partitions as in ``Sighting``, of everybody."""

    def look(self, worlds: Iterable[World]) -> Sighting:
        """Look for what is the test's own; ``worlds`` are those that it used, on this kernel."""
        bound = list(self._bound())
        recorded = self._recorded(bound, worlds)
        own = {_key_of(one): one for one in bound if self.is_own(path_of(one)) or _key_of(one) in recorded}
        own |= self._stacked(own, bound)
        numbers = self._numbers(own.values())
        return Sighting(own, recorded, self._mounts(own.values()), self._stale(numbers))

    def rdevs(self, devices: Iterable[BoundDevice]) -> frozenset[int]:
        """Return the device numbers of the disks and of their partitions."""
        numbers = [one.number for one in devices]
        disks = [disk for number in numbers if (disk := self.kernel.rdev(number)) is not None]
        return frozenset([*disks, *(one.rdev for number in numbers for one in self.kernel.partitions(number))])

    def mount_points(self, devices: Iterable[BoundDevice]) -> list[bytes]:
        """Return where devices and their partitions are mounted in this mount namespace."""
        rdevs = self.rdevs(devices)
        mounts = self.kernel.mounts(only_ours=True) if rdevs else []
        return [one.mount_point for one in mounts if one.rdev in rdevs]

    def _bound(self) -> Iterator[BoundDevice]:
        found = map(self.kernel.look, self.kernel.bound_numbers())
        return (one for one in found if one is not None)

    def _stacked(self, own: Mapping[Key, BoundDevice], bound: list[BoundDevice]) -> dict[Key, BoundDevice]:
        """Return the devices that are bound to these, floor by floor."""
        found: dict[Key, BoundDevice] = {}
        below = list(own.values())
        while below:
            upper = {number for number, _ in self.kernel.loops_on(self.rdevs(below))}
            below = [one for one in bound if one.number in upper and _key_of(one) not in found]
            found |= {_key_of(one): one for one in below}
        return found

    def _mounts(self, own: Iterable[BoundDevice]) -> Counter[bytes]:
        # A mount of a device may be in both; one of a tmpfs is in the second only.
        return Counter(self.mount_points(own)) | Counter(filter(self.is_own, self.kernel.mount_points()))

    def _stale(self, numbers: Iterable[int]) -> frozenset[str]:
        unbound = (number for number in numbers if not self.kernel.is_bound(number))
        found = ((number, one.number) for number in unbound for one in self.kernel.partitions(number))
        return frozenset(self.kernel.node(*one) for one in found)

    def _recorded(self, bound: Iterable[BoundDevice], worlds: Iterable[World]) -> dict[Key, World]:
        keys = {_key_of(one) for one in bound}
        return {
            key: world
            for world in worlds
            for record in _records(world)
            if (key := _key_of_record(record)) in keys and self._is_own_record(record, world)
        }


class MemorySights(Sights):
    """A kernel in memory: all there is on it is the test's own."""

    def __init__(self, kernel: MemoryKernel) -> None:
        super().__init__(kernel)
        self._memory = kernel

    def is_own(self, path: bytes) -> bool:  # noqa: ARG002 - wherever it is
        """Return True."""
        return True

    def is_on_it(self, world: World) -> bool:
        """Whether it is of this very object."""
        return world.kernel is self._memory

    def _is_own_record(self, record: Record, world: World) -> bool:  # noqa: ARG002 - whoever wrote it
        return True

    def _numbers(self, own: Iterable[BoundDevice]) -> Iterable[int]:  # noqa: ARG002 - those without a device too
        return self._memory.device_numbers()

    def _all_stale(self) -> frozenset[str]:
        return self._stale(self._memory.device_numbers())


class RealSights(Sights):
    """The real kernel, where most is others'.

    The test's own is what is bound to a file below the temporary folder or is mounted there, what this very process put
    on record, or anybody on a ledger below that folder, and what is stacked on any of it. No device is opened for this.
    """

    def __init__(self, kernel: Kernel, folder: bytes) -> None:
        super().__init__(kernel)
        self._below = folder + b"/"
        self._seen: set[int] = set()

    def is_own(self, path: bytes) -> bool:
        """Whether it is below the temporary folder."""
        return path.startswith(self._below)

    def is_on_it(self, world: World) -> bool:
        """Whether it is of no kernel in memory; each ``Loops`` has an object of its own for the real one."""
        return not isinstance(world.kernel, MemoryKernel)

    def _is_own_record(self, record: Record, world: World) -> bool:
        return self.is_own(os.fsencode(world.ledger.run_dir)) or record.owner == self.kernel.process()

    def _numbers(self, own: Iterable[BoundDevice]) -> Iterable[int]:
        """Return those that were the test's own at some look: the partition itself does not tell whose it is."""
        self._seen |= {one.number for one in own}
        return self._seen

    def _all_stale(self) -> frozenset[str]:
        """Return all partitions of loop devices: those of bound ones will not have come either."""
        with open("/proc/partitions", encoding="ascii") as table:
            names = [line.split()[-1] for line in table if line.strip()]
        return frozenset(f"/dev/{name}" for name in names if name.startswith("loop"))


def _key_of(bound: BoundDevice) -> Key:
    return bound.number, path_of(bound) if bound.diskseq is None else bound.diskseq


def _key_of_record(record: Record) -> Key:
    return record.number, record.image if record.diskseq is None else record.diskseq


def _records(world: World) -> Iterator[Record]:
    try:
        media = world.ledger.media()
    except LedgerError:  # it is another user's: this process has put nothing there
        return
    for medium in media:
        yield from world.ledger.peek(medium)
