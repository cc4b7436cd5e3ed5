"""The machine that the pipeline runs on: the real one, or one in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ntt_loops.testing import in_memory as loops_in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from ntt_loops import LoopDevice, Loops

#: What an image is: an ext4; one whose journal needs recovery; one with bytes behind its last sector.
Kind = Literal["plain", "journal", "tail"]
TAIL_BYTES = 300
_PROGRAMS = ("mkfs.ext4", "blkid", "mount", "umount", "losetup", "cat")


class Machine(Protocol):
    """What is asked of a machine beside what the library does."""

    def make_image(self, path: Path, kind: Kind) -> Mapping[str, str]:
        """Make an image; return the SHA-256 of the files in it by their names."""

    def describe(self, kind: Kind) -> str:
        """Return what such an image is."""

    def identify(self, device: LoopDevice) -> str:
        """Return what a device holds."""

    def mount(self, device: LoopDevice, point: Path) -> None:
        """Mount a device read-only."""

    def unmount(self, point: Path) -> None:
        """Unmount what is mounted there, if anything is."""

    def losetup(self, image: Path) -> str:
        """Attach an image as ``losetup -f --show -r -P`` does; return the device."""

    def read_elsewhere(self, device: str) -> AbstractContextManager[None]:
        """Let another process keep a device open."""

    def kill_worker(self, image: Path, point: Path) -> str:
        """Let a process attach and mount an image, and kill it at that; return the device."""

    def other_ledger(self, run_dir: Path) -> Loops:
        """Return the library with a ledger of its own, as a stage in a container has it."""

    def devices_below(self, folder: Path) -> list[str]:
        """Return the devices whose image lies, or lay, below a folder."""

    def mounts_below(self, folder: Path) -> list[str]:
        """Return the mount points below a folder."""

    def witness(self) -> str:
        """Return who answers the last two questions."""


@contextlib.contextmanager
def choose_machine(*, in_memory: bool) -> Iterator[Machine]:
    """Choose the machine, and say which in the first line."""
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    reason = "as was asked for" if in_memory else why_not_real()
    if reason is None:
        from examples.demo.real import RealMachine  # noqa: PLC0415 - it needs Linux

        print(f"On the real kernel, Linux {os.uname().release}: real images, loop devices and mounts.", flush=True)
        yield RealMachine()
        return
    from examples.demo.played import PlayedMachine  # noqa: PLC0415 - one of the two is enough

    played = "no loop device is touched; mount and copy are played by reading the images"
    print(f"In memory ({reason}): {played}.", flush=True)
    with loops_in_memory() as kernel:
        yield PlayedMachine(kernel)


def why_not_real() -> str | None:
    """Return what real loop devices lack here, None where they can be had."""
    if os.geteuid() != 0:
        return "real loop devices need root"
    if not Path("/dev/loop-control").exists():
        return "there is no /dev/loop-control; modprobe loop may help"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None
