"""Mounts, swap and device mapper: the openers that are no process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel.values import StackedDevice
from ntt_loops.testing import _files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntt_loops._kernel.values import Mount
    from ntt_loops.testing._device import Device, Use


@attrs.define(eq=False)
class Stacked:
    """A device-mapper device, on loop devices or on others of its kind."""

    kernel_name: str
    own_name: str
    rdev: int
    #: The loop devices below it, and how it has each open.
    below: list[tuple[Device, Use]]
    #: The device-mapper devices below it.
    lower: list[Stacked]
    #: What stands on it.
    upper: list[Stacked | MountEntry] = attrs.field(factory=list)

    def stands_on(self, number: int) -> bool:
        """Whether it stands on a loop device itself."""
        return any(device.number == number for device, _ in self.below)

    def seen(self) -> StackedDevice:
        """Return what sysfs has of it."""
        slaves = [device.rdev_of(use.partition) for device, use in self.below] + [one.rdev for one in self.lower]
        names = sorted(one.kernel_name for one in self.upper if isinstance(one, Stacked))
        return StackedDevice(self.kernel_name, self.own_name, frozenset((self.rdev,)), frozenset(slaves), tuple(names))

    def close(self) -> None:
        """Let go of what is below it."""
        for device, use in self.below:
            device.close(use)
        for one in self.lower:
            one.upper.remove(self)


@attrs.define(eq=False)
class MountEntry:
    """A mount. One in a namespace that no process lives in has no ``mount`` that could be read."""

    mount_point: bytes
    mount: Mount | None
    #: What it stands on: a loop device and how that is open, or a device-mapper device.
    device: Device | Stacked
    use: Use | None
    is_busy: bool = False
    files: Mapping[str, bytes] = attrs.field(factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether umount(8) here can reach it."""
        return self.mount is not None and self.mount.is_ours

    @property
    def rdev(self) -> int:
        """The number of the device it stands on."""
        if isinstance(self.device, Stacked):
            return self.device.rdev
        return self.device.rdev_of(None if self.use is None else self.use.partition)

    def close(self) -> None:
        """Let go of what is below it, and take its files away."""
        _files.take_away(self.mount_point, self.files)
        if isinstance(self.device, Stacked):
            self.device.upper.remove(self)
        elif self.use is not None:
            self.device.close(self.use)


class Users:
    """All of them, in the order they came."""

    def __init__(self) -> None:
        self.mounts: list[MountEntry] = []
        self.swaps: dict[int, tuple[bytes, Device, Use]] = {}
        self.stacked: dict[str, Stacked] = {}

    def mount_at(self, mount_point: bytes, *, ours: bool | None = None) -> MountEntry | None:
        """Return the last mount on a point, of our namespace, of any other, or of either."""
        entries = [entry for entry in reversed(self.mounts) if entry.mount_point == mount_point]
        return next((entry for entry in entries if ours is None or entry.is_ours is ours), None)

    def seen_mounts(self) -> list[Mount]:
        """Return what mountinfo of every namespace has."""
        seen = [entry.mount for entry in self.mounts if entry.mount is not None]
        last = {_place(mount): mount for mount in seen}
        return [attrs.evolve(mount, is_covered=last[_place(mount)] is not mount) for mount in seen]

    def end(self, entry: MountEntry) -> None:
        """Take a mount away."""
        self.mounts.remove(entry)
        entry.close()

    def end_namespaces_of(self, pid: int) -> None:
        """Take away what is mounted where only this process lived."""
        for entry in [one for one in self.mounts if one.mount is not None and not one.is_ours]:
            if entry.mount is not None and entry.mount.pid == pid:
                self.end(entry)

    def stacked_as(self, kernel_name: str) -> Stacked | None:
        """Return a device-mapper device by its kernel name."""
        return next((one for one in self.stacked.values() if one.kernel_name == kernel_name), None)


def _place(mount: Mount) -> tuple[int | None, bytes]:
    """Return namespace and mount point: ours is one, each other one is that of its process."""
    return None if mount.is_ours else mount.pid, mount.mount_point
