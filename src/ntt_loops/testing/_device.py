"""One loop device: what is bound to it, who has it open, and when it is let go."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel.values import SECTOR_BYTES, PartitionNode
from ntt_loops.testing._failures import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._kernel.values import LoopConfig, Process
    from ntt_loops.testing._backing import Backing

_LARGEST_OFFSET_BYTES = (1 << 63) - 1
_LARGEST_SECTOR_BYTES = 65536


@attrs.define(eq=False)
class Use:
    """One reason why a device is open: a descriptor, a mount, swap, what is stacked on it."""

    partition: int | None = None
    #: None: the kernel itself.
    process: Process | None = None
    #: Who claims it, None for a plain open. The same owner may claim again, as two mounts of one file system do.
    claim: object | None = None
    is_writable: bool = False
    is_open: bool = False


@attrs.define(eq=False)
class Binding:
    """An image on a device."""

    backing: Backing
    config: LoopConfig
    is_read_only: bool
    is_autoclear: bool
    size_bytes: int
    #: The opener that this binding is of the device below, where it is stacked.
    below: tuple[Device, Use] | None = None
    is_flush_failing: bool = False


@attrs.define(eq=False)
class Device:
    """A loop device, bound or not."""

    number: int
    rdev: int
    diskseq: int
    has_rundown: bool
    _next_diskseq: Callable[[], int]
    binding: Binding | None = None
    is_rundown: bool = False
    #: What a writable binding leaves to the queue, since 6.11 until the next binding: then a flush of nothing fails.
    has_write_cache: bool = False
    uses: list[Use] = attrs.field(factory=list)
    partitions: dict[int, PartitionNode] = attrs.field(factory=dict)

    def running(self) -> Binding:
        """Return what is bound; ENXIO when nothing is, or the detach is under way (F17)."""
        if self.binding is None or self.is_rundown:
            raise failure(errno.ENXIO)
        return self.binding

    def size_bytes(self, partition: int | None = None) -> int:
        """Return the size of the disk or of a partition."""
        if partition is not None:
            return self.partitions[partition].size_bytes
        return 0 if self.binding is None else self.binding.size_bytes

    def rdev_of(self, partition: int | None) -> int:
        """Return the device number of the disk, or of a partition that is open."""
        return self.rdev if partition is None else self.partitions[partition].rdev

    # -- openers

    def open(self, use: Use) -> None:
        """Let one more open it: ENOENT, EBUSY for a claim, ENXIO in rundown, in that order."""
        if use.partition is not None and use.partition not in self.partitions:
            raise failure(errno.ENOENT)
        if use.claim is not None and self._is_claimed_by_another(use.claim, use.partition):
            raise failure(errno.EBUSY)
        if self.is_rundown:
            raise failure(errno.ENXIO)
        self.uses.append(use)
        use.is_open = True

    def _is_claimed_by_another(self, claim: object, partition: int | None) -> bool:
        """A claim of the disk and one of a partition exclude each other, those of two partitions do not (F23)."""
        others = [use for use in self.uses if use.claim not in (None, claim)]
        return any(None in (partition, use.partition) or use.partition == partition for use in others)

    def close(self, use: Use) -> None:
        """Take one opener away; the last one ends a detach, or starts and ends that of AUTOCLEAR (F11, F17)."""
        if not use.is_open:
            return
        use.is_open = False
        self.uses.remove(use)
        if not self.uses and self._is_going():
            self._unbind()

    def unbinds_or_writes_at_close_of(self, use: Use) -> bool:
        """Whether closing it makes the kernel touch the backing file."""
        if self.binding is None or self.uses != [use]:
            return False
        return self._is_going() or (use.is_writable and not self.binding.is_read_only)

    def _is_going(self) -> bool:
        return self.is_rundown or (self.binding is not None and self.binding.is_autoclear)

    # -- attach and detach

    def bind(self, use: Use, open_backing: Callable[[], Backing], config: LoopConfig) -> Binding:
        """LOOP_CONFIGURE; it claims the device for that moment."""
        claim = object() if use.claim is None else use.claim
        if self._is_claimed_by_another(claim, None) or self.binding is not None:
            raise failure(errno.EBUSY)
        _check(config)
        backing = open_backing()
        is_read_only = config.read_only or not (use.is_writable and backing.is_writable)
        size_bytes = _size_bytes(backing.size_bytes, config)
        self.binding = Binding(backing, config, is_read_only, config.autoclear, size_bytes)
        self.has_write_cache = not is_read_only
        self.diskseq = self._next_diskseq()
        self._rescan(config)
        return self.binding

    def clear(self) -> None:
        """LOOP_CLR_FD (F16, F17)."""
        binding = self.running()
        if len(self.uses) > 1:
            binding.is_autoclear = True
        elif self.has_rundown:
            self.is_rundown = True
        else:
            self._unbind()

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Return what the device shows there; EIO where nothing is bound."""
        if self.binding is None or self.is_rundown:
            raise failure(errno.EIO)
        size_bytes = max(0, min(size_bytes, self.binding.size_bytes - offset_bytes))
        return self.binding.backing.read(self.binding.config.offset_bytes + offset_bytes, size_bytes)

    def flush(self) -> None:
        """Fsync: EIO once where a write was lost (F18), and at any time between CLR_FD and the next binding."""
        binding = None if self.is_rundown else self.binding
        is_failing = self.has_write_cache if binding is None else binding.is_flush_failing
        if binding is not None:
            binding.is_flush_failing = False
        if is_failing:
            raise failure(errno.EIO)

    def _unbind(self) -> None:
        binding, self.binding, self.is_rundown = self.binding, None, False
        if binding is None:
            return
        self.has_write_cache = self.has_write_cache and self.has_rundown
        self.diskseq = self._next_diskseq()
        self._rescan(binding.config)
        binding.backing.close()
        if binding.below is not None:
            lower, use = binding.below
            lower.close(use)

    def _rescan(self, config: LoopConfig) -> None:
        """Drop the partitions; without PARTSCAN, and while one is open, they outlive the binding (F31)."""
        if config.partscan and not any(use.partition is not None for use in self.uses):
            self.partitions.clear()

    # -- partitions

    def add_partition(self, node: PartitionNode) -> None:
        """BLKPG_ADD_PARTITION."""
        end_bytes = node.start_bytes + node.size_bytes
        if node.start_bytes % SECTOR_BYTES or node.size_bytes % SECTOR_BYTES or end_bytes > self.size_bytes():
            raise failure(errno.EINVAL)
        others = self.partitions.values()
        if any(one.start_bytes < end_bytes and node.start_bytes < _end_bytes(one) for one in others):
            raise failure(errno.EBUSY)
        if node.number in self.partitions:
            raise failure(errno.EBUSY)
        self.partitions[node.number] = node

    def delete_partition(self, partition: int) -> None:
        """BLKPG_DEL_PARTITION: bound, in rundown or neither (F37)."""
        if partition <= 0:
            raise failure(errno.EINVAL)
        if partition not in self.partitions:
            raise failure(errno.ENXIO)
        if any(use.partition == partition for use in self.uses):
            raise failure(errno.EBUSY)
        del self.partitions[partition]


def _end_bytes(node: PartitionNode) -> int:
    return node.start_bytes + node.size_bytes


def _check(config: LoopConfig) -> None:
    sector = config.sector_size_bytes
    if sector and not (SECTOR_BYTES <= sector <= _LARGEST_SECTOR_BYTES and sector.bit_count() == 1):
        raise failure(errno.EINVAL)
    if max(config.offset_bytes, config.size_limit_bytes) > _LARGEST_OFFSET_BYTES:
        raise failure(errno.EOVERFLOW)


def _size_bytes(backing_bytes: int, config: LoopConfig) -> int:
    """Return whole sectors from the offset to the limit (F5)."""
    size = max(backing_bytes - config.offset_bytes, 0)
    if config.size_limit_bytes:
        size = min(size, config.size_limit_bytes)
    return size - size % SECTOR_BYTES
