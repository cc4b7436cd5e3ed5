"""The half of the real kernel that is seen without opening a device: sysfs, and who uses what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._kernel import mountinfo, processes, stacked, swaps, sysfs, this_machine, users

if TYPE_CHECKING:
    from ntt_loops._kernel.values import (
        BoundDevice,
        LoopFlags,
        Mount,
        Opener,
        PartitionNode,
        StackedDevice,
        Surroundings,
    )


class Sight:
    """sysfs and /proc."""

    def bound_numbers(self) -> list[int]:
        """Return the numbers of all bound devices."""
        return sysfs.bound_numbers()

    def is_bound(self, number: int) -> bool:
        """Whether anything is bound."""
        return sysfs.is_bound(number)

    def look(self, number: int) -> BoundDevice | None:
        """Return what is bound to a number."""
        return sysfs.look(number)

    def diskseq(self, number: int) -> int | None:
        """Return sysfs' diskseq."""
        return sysfs.diskseq(number)

    def flags(self, number: int) -> LoopFlags:
        """Read three attributes."""
        return sysfs.flags(number)

    def size_bytes(self, number: int) -> int:
        """Return sysfs' size."""
        return sysfs.size_bytes(number)

    def rdev(self, number: int) -> int | None:
        """Return sysfs' device number."""
        return sysfs.rdev(f"loop{number}")

    def partitions(self, number: int) -> list[PartitionNode]:
        """Return the partitions of a device."""
        return sysfs.partitions(number)

    def mounts(self, *, only_ours: bool = False) -> list[Mount]:
        """Return the mounts of block devices."""
        return mountinfo.our_block_mounts() if only_ours else mountinfo.block_mounts()

    def mount_points(self) -> list[bytes]:
        """Return the mount points of this mount namespace."""
        return [line.mount_point for line in mountinfo.read("self")]

    def users(self, rdevs: frozenset[int]) -> list[Opener]:
        """Return the processes that work on file systems of these devices."""
        return users.of_file_systems(rdevs)

    def openers(self, rdevs: frozenset[int], *, pid: int | None = None) -> list[Opener]:
        """Return the processes that have one of these devices open."""
        pids = processes.pids() if pid is None else [pid]
        names = {name for rdev in rdevs if (name := sysfs.name_of(rdev)) is not None}
        return processes.openers(pids, rdevs, names, mountinfo.OpenFileMounts().may_hang)

    def swaps(self) -> list[tuple[int, bytes]]:
        """Return the block devices in /proc/swaps."""
        return swaps.block_devices()

    def sysfs_holders(self, number: int) -> list[tuple[str, str]]:
        """Return what is stacked on a device."""
        return sysfs.holders(number)

    def loops_on(self, rdevs: frozenset[int]) -> list[tuple[int, int]]:
        """Return the loop devices whose backing file is one of these devices."""
        found = ((number, _backing_rdev(number)) for number in sysfs.bound_numbers())
        return [(number, rdev) for number, rdev in found if rdev is not None and rdev in rdevs]

    def number_limit(self) -> int:
        """Return how many minors there are, by ``max_part``."""
        return this_machine.number_limit()

    def surroundings(self) -> Surroundings:
        """Look into /proc/self/status and /sys/module."""
        return processes.surroundings()

    def stacked(self, name: str) -> StackedDevice | None:
        """Return a dm or md device."""
        return stacked.look(name)


def _backing_rdev(number: int) -> int | None:
    """Return the block device that a loop device is bound to; only a path below /dev is asked (F21)."""
    bound = sysfs.look(number)
    if bound is None or not bound.backing_file.startswith(b"/dev/"):
        return None
    return processes.block_rdev(bound.backing_file)
