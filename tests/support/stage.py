"""Where the model is played: a world, the processes in it, and what can be seen of it from outside.

What it shows is asked of sysfs and mountinfo, or of the kernel in memory, never of the library.
"""

from __future__ import annotations

import abc
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from ntt_loops import Loops
from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops.testing import MemoryKernel
from tests.support import oracle, rawloop
from tests.support.actors import Actor, ForkedActor, PlayedActor
from tests.support.images import make_image
from tests.support.kernels import QuickKernel, sized_numbers
from tests.support.world_linux import LinuxWorld
from tests.support.world_memory import MemoryWorld

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._kernel import Handle, Kernel
    from tests.support.world import Mounted, World


class Shown(NamedTuple):
    """What is to be seen of a bound device."""

    diskseq: int
    backing_file: bytes
    is_armed: bool


class WatchedMemory(MemoryKernel):
    """The kernel in memory; CLR_FD of a device that is mounted anywhere does not pass unseen."""

    def clear(self, handle: Handle) -> None:
        """See that nobody has it mounted, then go on."""
        _check_is_not_mounted(self, handle)
        super().clear(handle)


class WatchedLinux(QuickKernel):
    """The real kernel, fenced and watched."""

    def clear(self, handle: Handle) -> None:
        """See that nobody has it mounted, then go on."""
        _check_is_not_mounted(self, handle)
        super().clear(handle)


def _check_is_not_mounted(kernel: Kernel, handle: Handle) -> None:
    number = kernel.get_status(handle).number
    assert kernel.rdev(number) not in {mount.rdev for mount in kernel.mounts()}, f"CLR_FD of loop{number}, mounted"


class Stage(abc.ABC):
    """A world to play in; its images lie below ``folder``."""

    #: The timeout of a call that is expected to find a device busy: others on a real machine need a moment.
    impatience: float

    def __init__(self, world: World, folder: Path) -> None:
        """Play there."""
        self.world = world
        self.folder = folder

    @abc.abstractmethod
    def loops(self, run_dir: Path) -> Loops:
        """Return the library over a ledger folder; it sees no devices but those of this stage."""

    @abc.abstractmethod
    def actor(self, run_dir: Path) -> Actor:
        """Start a process."""

    @abc.abstractmethod
    def new_image(self, path: Path, size_bytes: int) -> None:
        """Make an image that can be mounted."""

    @abc.abstractmethod
    def shown(self) -> dict[int, Shown]:
        """Return the bound devices of this stage."""

    @abc.abstractmethod
    def mount_points(self) -> set[bytes]:
        """Return what is mounted in this mount namespace."""

    @abc.abstractmethod
    def unmount(self, mounted: Mounted, *, ours: bool) -> None:
        """End a mount; where it is not ours by ending the process that lives there."""

    @abc.abstractmethod
    def losetup_detach(self, number: int) -> None:
        """Do what ``losetup -d`` does: LOOP_CLR_FD, whatever comes of it."""


class MemoryStage(Stage):
    """The kernel in memory."""

    impatience = 0.0

    def __init__(self, folder: Path, *, rundown: bool) -> None:
        """Play on a new one."""
        self._memory = WatchedMemory(rundown=rundown)
        super().__init__(MemoryWorld(folder, rundown=rundown, memory=self._memory), folder)

    def loops(self, run_dir: Path) -> Loops:
        """Return the library on that kernel."""
        return Loops(run_dir, self._memory)

    def actor(self, run_dir: Path) -> Actor:
        """Play a process."""
        return PlayedActor(self._memory, self.loops(run_dir))

    def new_image(self, path: Path, size_bytes: int) -> None:
        """Nothing reads it."""
        make_image(path, size_bytes=size_bytes, fs=None)

    def shown(self) -> dict[int, Shown]:
        """Look into the machine."""
        found = {}
        for device in self._memory._machine.bound_devices():
            assert device.binding is not None
            found[device.number] = Shown(device.diskseq, device.binding.backing.path(), device.binding.is_autoclear)
        return found

    def mount_points(self) -> set[bytes]:
        """Look into the machine."""
        return {one.mount_point for one in self._memory._machine.users.mounts if one.is_ours}

    def unmount(self, mounted: Mounted, *, ours: bool) -> None:
        """Take it away."""
        if ours:
            self._memory.unmount_elsewhere(mounted.point)
        else:
            self._memory.kill(mounted.pid)

    def losetup_detach(self, number: int) -> None:
        """Clear it, unwatched."""
        handle = self._memory.open(number)
        MemoryKernel.clear(self._memory, handle)
        handle.close()


class LinuxStage(Stage):
    """The real kernel, fenced."""

    impatience = 0.1

    def __init__(self, folder: Path) -> None:
        """Make the file system that all its images hold."""
        super().__init__(LinuxWorld(folder), folder)
        self._template = make_image(folder.parent / "template", size_bytes=256 * 1024).read_bytes()

    def loops(self, run_dir: Path) -> Loops:
        """Return the library behind a fence."""
        return Loops(run_dir, WatchedLinux(self.folder))

    def actor(self, run_dir: Path) -> Actor:
        """Fork a child."""
        return ForkedActor(self.loops(run_dir))

    def new_image(self, path: Path, size_bytes: int) -> None:
        """Copy the file system and fill the rest."""
        path.write_bytes(self._template.ljust(size_bytes, b"\n"))

    def shown(self) -> dict[int, Shown]:
        """Ask sysfs."""
        backing = {number: name for number in sized_numbers() if (name := _backing_file(number))}
        found = [number for number, name in backing.items() if name.startswith(bytes(self.folder) + b"/")]
        nodes = {bytes(rawloop.node(number)) for number in found}
        found += [number for number, name in backing.items() if name in nodes]
        return {number: _shown(number, backing[number]) for number in found}

    def mount_points(self) -> set[bytes]:
        """Read mountinfo."""
        return {os.fsencode(point) for _, point in oracle.mounts() if point.is_relative_to(self.folder)}

    def unmount(self, mounted: Mounted, *, ours: bool) -> None:
        """Run umount(8), or end the process whose namespace it is in."""
        if ours:
            oracle.run("umount", "--", os.fsdecode(mounted.point))
        else:
            os.kill(mounted.pid, signal.SIGKILL)

    def losetup_detach(self, number: int) -> None:
        """Run it."""
        oracle.losetup_detach(f"/dev/loop{number}")


def _backing_file(number: int) -> bytes | None:
    try:
        return rawloop.backing_file(number)
    except OSError:  # a stranger's, with a path that is too long
        return None


def _shown(number: int, backing_file: bytes) -> Shown:
    diskseq = int(rawloop.sysfs(number, "diskseq") or b"0")
    return Shown(diskseq, backing_file, rawloop.sysfs(number, "loop/autoclear") == b"1")


def backing_file(path: Path, *, is_living: bool) -> bytes:
    """Return what the kernel says of an image with that path."""
    return bytes(path) + (b"" if is_living else DELETED_SUFFIX)
