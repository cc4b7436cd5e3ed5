"""Mounts, swap and device mapper: the openers that are no process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ntt_loops._kernel.values import Mount
    from ntt_loops.testing._device import Device, Use


@attrs.define(eq=False)
class MountEntry:
    """A mount. One in a namespace that no process lives in has no ``mount`` that could be read."""

    mount_point: bytes
    mount: Mount | None
    device: Device
    use: Use
    is_busy: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether umount(8) here can reach it."""
        return self.mount is not None and self.mount.is_ours


@attrs.define(eq=False)
class Stacked:
    """A device-mapper device on a loop device."""

    kernel_name: str
    device: Device
    use: Use


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
        entry.device.close(entry.use)

    def end_namespaces_of(self, pid: int) -> None:
        """Take away what is mounted where only this process lived."""
        for entry in [one for one in self.mounts if one.mount is not None and not one.is_ours]:
            if entry.mount is not None and entry.mount.pid == pid:
                self.end(entry)


def _place(mount: Mount) -> tuple[int | None, bytes]:
    """Return namespace and mount point: ours is one, each other one is that of its process."""
    return None if mount.is_ours else mount.pid, mount.mount_point
