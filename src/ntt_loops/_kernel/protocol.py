"""The seam between ntt_loops and the kernel.

Errors are plain ``OSError`` with the errno that Linux gives. A method with ``within`` runs in this process when it is
None; with a number of seconds it runs in a child process that is killed or left behind after that time, because on hung
storage even SIGKILL may not end such a call (F21). Then it raises StuckError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import io
    import os
    from collections.abc import Sequence

    from ntt_loops._kernel.machine import Machine
    from ntt_loops._kernel.values import (
        BoundDevice,
        LoopConfig,
        LoopFlags,
        LoopStatus,
        Mount,
        Opener,
        PartitionNode,
        Probe,
        Process,
        StackedDevice,
        Surroundings,
        TableEntry,
    )


class StuckError(TimeoutError):
    """The storage behind a device did not answer in time; the call may still be under way (F21)."""


class NoNodeError(FileNotFoundError):
    """A device has no node in /dev, and none could be made (F33); ``strerror`` says why."""


class Handle(Protocol):
    """An open device. Collected or closed, it is one opener less."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def close(self) -> None:
        """Close it; again does nothing."""


class Kernel(Protocol):
    """Loop devices, and who uses them."""

    # -- this machine and this process

    def boot_id(self) -> str:
        """Return the id of this boot; diskseq and pids mean nothing beyond it."""

    def uptime(self) -> float:
        """Return seconds since boot, sleep included: unlike the wall clock nobody sets it back."""

    def process(self) -> Process:
        """Return the calling process."""

    def is_alive(self, process: Process) -> bool | None:
        """Whether that very process lives; None where it is of another pid namespace and cannot be seen."""

    def command(self, pid: int) -> str:
        """Return the command name of a process; empty where it is gone."""

    # -- loop-control

    def get_free(self) -> int:
        """LOOP_CTL_GET_FREE: a number that is free now; nothing reserves it (F1)."""

    def next_free(self, after: int) -> int:
        """Return a higher number that is not bound, made where it does not exist."""

    # -- one device

    def open(self, number: int, *, writable: bool = False, exclusive: bool = False) -> Handle:
        """Open a device; ``exclusive`` is a claim: EBUSY while it or a partition is mounted or claimed (F23)."""

    def configure(self, handle: Handle, image: io.FileIO, config: LoopConfig) -> None:
        """LOOP_CONFIGURE: bind the image in one step (F2). EBUSY: somebody was faster."""

    def get_status(self, handle: Handle, *, within: float | None = None) -> LoopStatus:
        """LOOP_GET_STATUS64; ENXIO when nothing is bound, or the detach is under way (F17)."""

    def status_of(self, number: int, *, within: float | None = None) -> tuple[LoopStatus, int | None]:
        """LOOP_GET_STATUS64 and BLKGETDISKSEQ through one descriptor of its own, so that both are of one attachment.

        On dead storage even the open may hang (F50).
        """

    def lock_detach(self) -> Handle | None:
        """Take, if it can be had now, the lock of the host on detaches that drop their claim; closing lets it go."""

    def set_autoclear(self, handle: Handle, *, on: bool, within: float | None = None) -> None:
        """LOOP_SET_STATUS64 with nothing else changed (F12); it takes some 10 ms (F34)."""

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD: never EBUSY. With other openers it arms AUTOCLEAR instead, and says 0 (F16)."""

    def flush(self, handle: Handle, *, within: float | None = None) -> None:
        """Fsync the device: what was written is in the image, or EIO - once (F18)."""

    def close(self, handle: Handle, *, within: float | None = None) -> None:
        """Close; the last close may write back and unbind, so it may hang where the image does."""

    def get_diskseq(self, handle: Handle) -> int | None:
        """BLKGETDISKSEQ: the number of this attachment since boot; None before 5.15 (F8)."""

    def get_size_bytes(self, handle: Handle) -> int:
        """BLKGETSIZE64."""

    def read(self, handle: Handle, offset_bytes: int, size_bytes: int) -> bytes:
        """Read what the device shows there; less where it ends. On dead storage it may never return (F21)."""

    def drop_cache(self, handle: Handle) -> None:
        """Let go of what is cached of the device itself, so that the next read asks its image's file system again."""

    def delete_partition(self, handle: Handle, partition: int) -> None:
        """BLKPG_DEL_PARTITION; works also after a CLR_FD that took (F37)."""

    def partition_table(self, handle: Handle, *, within: float) -> list[TableEntry]:
        """Partx(8) reads the table; empty where there is none, or one that is broken."""

    def add_partitions(self, handle: Handle, first: int, last: int, *, within: float) -> None:
        """``partx --add``, for the numbers of the table from first to last; sysfs tells what came of it (F54).

        EPERM where it did not work and this process has no CAP_SYS_ADMIN (F37).
        """

    # -- sysfs: opens no device, so disturbs nobody (F36)

    def bound_numbers(self) -> list[int]:
        """Return the numbers of all bound devices, those of size 0 too."""

    def is_bound(self, number: int) -> bool:
        """Whether anything is bound, a detach under way included (F17)."""

    def look(self, number: int) -> BoundDevice | None:
        """Return what is bound to a number; None when nothing is."""

    def diskseq(self, number: int) -> int | None:
        """Return sysfs' diskseq; None before 5.15 or where there is no such device."""

    def flags(self, number: int) -> LoopFlags:
        """Return the flags of a bound device: on dead storage, too, where GET_STATUS64 fails or hangs (F21)."""

    def size_bytes(self, number: int) -> int:
        """Return sysfs' size; 0 where there is no such device."""

    def rdev(self, number: int) -> int | None:
        """Return the device number of the whole disk (F9); None where there is no such device."""

    def partitions(self, number: int) -> list[PartitionNode]:
        """Return the partitions of a device, by number."""

    # -- who uses it

    def mounts(self, *, only_ours: bool = False) -> list[Mount]:
        """Return the mounts of block devices in every mount namespace that a process lives in, or only in this one."""

    def mount_points(self) -> list[bytes]:
        """Return the mount points of this mount namespace, of whatever file system, the last mount last."""

    def users(self, rdevs: frozenset[int]) -> list[Opener]:
        """Return the processes that work on file systems of these devices: with a folder, a file, or their program."""

    def openers(self, rdevs: frozenset[int], *, pid: int | None = None) -> list[Opener]:
        """Return the processes with a descriptor of one of these devices, this one too; or look at one process only."""

    def swaps(self) -> list[tuple[int, bytes]]:
        """Return device number and path of each block device that is swapped on."""

    def sysfs_holders(self, number: int) -> list[tuple[str, str]]:
        """Return kernel name (``dm-3``) and own name (``vg-home``) of what is stacked on the disk or a partition."""

    def loops_on(self, rdevs: frozenset[int]) -> list[tuple[int, int]]:
        """Return the loop devices whose backing file is one of these devices, each with that one's device number."""

    def stacked(self, name: str) -> StackedDevice | None:
        """Return a dm or md device by its kernel name; None where it is gone, or of another kind."""

    # -- what system programs do; a program that does not end is killed, and that is a StuckError

    def probe(self, node: str | os.PathLike[str], *, offset_bytes: int = 0, within: float) -> Probe:
        """Run blkid(8) on a device, on what begins at that byte of it."""

    def mount_node(
        self, node: str | os.PathLike[str], mount_point: bytes, *, fstype: str, options: str, within: float
    ) -> None:
        """Run mount(8); OSError with its text. A ``fstype`` with commas: each is tried, in that order.

        StuckError says nothing of the mount: it may be there all the same.
        """

    def unmount(self, mount_point: bytes, *, within: float) -> None:
        """Run umount(8), never lazily; OSError with its text, StuckError when it does not end."""

    def stop_stacked(self, name: str, *, within: float) -> None:
        """Run ``dmsetup remove`` or ``mdadm --stop`` on a dm or md device; OSError with its text."""

    # -- images

    def file_id(self, path: bytes, *, within: float | None = None) -> tuple[int, int]:
        """Return (dev, inode) of a path, symlinks followed."""

    def real_path(self, path: bytes, *, within: float | None = None) -> bytes:
        """Return the absolute path without symlinks, also of a file that is gone."""

    def may_hang(self, paths: Sequence[bytes]) -> list[bool]:
        """Tell for each absolute path whether what it lies on may never answer (F21); touches none of them."""

    def is_remote_elsewhere(self) -> bool:
        """Whether another mount namespace has storage that may hang: then no path tells what an image lies on (F49)."""

    def node(self, number: int, partition: int | None = None) -> str:
        """Return the path that the node has in /dev: a name, whether or not something is there."""

    def usable_node(self, number: int, partition: int | None = None) -> str:
        """Return a path that programs can open: where /dev lacks it, a private node that is made now (F33).

        NoNodeError where it cannot be made.
        """

    def remove_stale_nodes(self) -> None:
        """Remove the private nodes of devices that are not bound any more."""

    def machine(self, run_dir: bytes) -> Machine:
        """Return what this machine has; the ledger folder is to be at that absolute path."""

    def number_limit(self) -> int:
        """Return how many loop devices there can be."""

    def surroundings(self) -> Surroundings:
        """Return what this process has, for the words of an error."""
