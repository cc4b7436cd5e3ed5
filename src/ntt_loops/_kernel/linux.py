"""The real kernel."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, cast

from ntt_loops._kernel import abi, flock, guarded, ioctls, mountinfo, private_nodes, processes, sysfs, this_machine
from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops._kernel.programs import Programs
from ntt_loops._kernel.sight import Sight

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from ntt_loops._kernel.machine import Machine
    from ntt_loops._kernel.protocol import Handle
    from ntt_loops._kernel.values import LoopConfig, LoopStatus, Process

LOOP_CONTROL = "/dev/loop-control"


class LinuxKernel(Sight, Programs):
    """``Kernel`` by ioctl, sysfs and /proc. Needs read access to the nodes; CAP_SYS_ADMIN for partitions."""

    def __init__(self) -> None:
        self._boot_id = ""
        self._process: Process | None = None

    def boot_id(self) -> str:
        """Return /proc/sys/kernel/random/boot_id."""
        if not self._boot_id:
            self._boot_id = (sysfs.read_attribute("/proc/sys/kernel/random/boot_id") or b"").decode("ascii")
        return self._boot_id

    def uptime(self) -> float:
        """Return CLOCK_BOOTTIME in seconds."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def process(self) -> Process:
        """Return the calling process."""
        if self._process is None or self._process.pid != os.getpid():  # a forked child is another one
            self._process = processes.current()
        return self._process

    def is_alive(self, process: Process) -> bool | None:
        """Whether that very process lives."""
        return processes.is_alive(process)

    def command(self, pid: int) -> str:
        """Return /proc/PID/comm."""
        return processes.command(pid)

    def get_free(self) -> int:
        """LOOP_CTL_GET_FREE."""
        with open_descriptor(LOOP_CONTROL, os.O_RDWR) as control:
            return ioctls.ctl_get_free(control.fileno())

    def next_free(self, after: int) -> int:
        """Return the next number without ``loop/`` in sysfs, made by LOOP_CTL_ADD where there is no such device."""
        number = after + 1
        while sysfs.is_bound(number):
            number += 1
        if not sysfs.exists(number):
            with open_descriptor(LOOP_CONTROL, os.O_RDWR) as control:
                _add(control.fileno(), number)
        return number

    def open(self, number: int, *, writable: bool = False, exclusive: bool = False) -> Handle:
        """Open /dev/loopN: read-only unless asked, which no udev rule sees as a change (F26)."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | (os.O_EXCL if exclusive else 0)
        try:
            return open_descriptor(self.node(number), flags)
        except FileNotFoundError:
            with private_nodes.borrowed(self.node(number), f"loop{number}") as node:
                return open_descriptor(node, flags)

    def configure(self, handle: Handle, image: io.FileIO, config: LoopConfig) -> None:
        """LOOP_CONFIGURE."""
        ioctls.configure(_number_of(handle), image.fileno(), config)

    def get_status(self, handle: Handle, *, within: float | None = None) -> LoopStatus:
        """LOOP_GET_STATUS64."""
        return ioctls.status_of(_loop_info(handle, within))

    def status_of(self, number: int, *, within: float | None = None) -> tuple[LoopStatus, int | None]:
        """Open, LOOP_GET_STATUS64, BLKGETDISKSEQ, close."""
        if within is None:
            with _file(self.open(number)) as device:
                return ioctls.status_of(ioctls.get_status(device.fileno())), ioctls.get_diskseq(device.fileno())
        try:
            return _status_by(self.node(number), within)
        except FileNotFoundError:
            with private_nodes.borrowed(self.node(number), f"loop{number}") as node:
                return _status_by(node, within)

    def lock_detach(self) -> Handle | None:
        """Flock a descriptor of its own on /dev/loop-control."""
        control = open_descriptor(LOOP_CONTROL, os.O_RDONLY)
        if flock.try_lock(control.fileno()):
            return control
        control.close()
        return None

    def set_autoclear(self, handle: Handle, *, on: bool, within: float | None = None) -> None:
        """LOOP_GET_STATUS64, then LOOP_SET_STATUS64 with that flag."""
        info = ioctls.with_autoclear(_loop_info(handle, within), on=on)
        if within is None:
            ioctls.set_status(_number_of(handle), info)
        else:
            _child_ioctl(handle, abi.LOOP_SET_STATUS64, info, within)

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD."""
        ioctls.clear(_number_of(handle))

    def flush(self, handle: Handle, *, within: float | None = None) -> None:
        """fsync(2), which works on a read-only descriptor of a block device too (F18)."""
        if within is None:
            os.fsync(_number_of(handle))
        else:
            guarded.call("fsync", descriptor=_file(handle), within=within)

    def close(self, handle: Handle, *, within: float | None = None) -> None:
        """close(2)."""
        if within is None or handle.closed:
            handle.close()
        else:
            guarded.close(_file(handle), within=within)

    def get_diskseq(self, handle: Handle) -> int | None:
        """BLKGETDISKSEQ."""
        return ioctls.get_diskseq(_number_of(handle))

    def get_size_bytes(self, handle: Handle) -> int:
        """BLKGETSIZE64."""
        return ioctls.get_size_bytes(_number_of(handle))

    def read(self, handle: Handle, offset_bytes: int, size_bytes: int) -> bytes:
        """pread(2)."""
        return os.pread(_number_of(handle), size_bytes, offset_bytes)

    def drop_cache(self, handle: Handle) -> None:
        """posix_fadvise(2)."""
        os.posix_fadvise(_number_of(handle), 0, 0, os.POSIX_FADV_DONTNEED)

    def delete_partition(self, handle: Handle, partition: int) -> None:
        """BLKPG_DEL_PARTITION."""
        ioctls.delete_partition(_number_of(handle), partition)

    def file_id(self, path: bytes, *, within: float | None = None) -> tuple[int, int]:
        """stat(2)."""
        if within is not None:
            dev, inode = guarded.call("stat", path.hex(), within=within).split()
            return int(dev), int(inode)
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def real_path(self, path: bytes, *, within: float | None = None) -> bytes:
        """realpath(3), where the last parts may be missing."""
        if within is not None:
            return guarded.call("realpath", os.path.join(os.getcwdb(), path).hex(), within=within)
        return os.path.realpath(path)

    def may_hang(self, paths: Sequence[bytes]) -> list[bool]:
        """Judge by the file system types in this process's mountinfo."""
        ours = mountinfo.by_point(mountinfo.read("self"))
        return [mountinfo.may_hang(path, ours) for path in paths]

    def is_remote_elsewhere(self) -> bool:
        """Look at the mountinfo of every other mount namespace."""
        return mountinfo.is_remote_elsewhere()

    def machine(self, run_dir: bytes) -> Machine:
        """Look through /proc, /sys, /dev and /etc, and ask each program for its version."""
        return this_machine.look(run_dir, LOOP_CONTROL)

    def node(self, number: int, partition: int | None = None) -> str:
        """Return /dev/loopN or /dev/loopNpM."""
        return f"/dev/loop{number}" if partition is None else f"/dev/loop{number}p{partition}"

    def usable_node(self, number: int, partition: int | None = None) -> str:
        """Return the path of the node, or that of a private one."""
        name = f"loop{number}" if partition is None else f"loop{number}p{partition}"
        return private_nodes.usable(self.node(number, partition), name)

    def remove_stale_nodes(self) -> None:
        """Look through the folder of the private nodes, if there is one."""
        private_nodes.remove_stale()


def _status_by(node: str, within: float) -> tuple[LoopStatus, int | None]:
    answer = guarded.call("status", node, str(abi.LOOP_GET_STATUS64), str(abi.BLKGETDISKSEQ), within=within)
    info, diskseq = answer[: abi.LOOP_INFO64.size], answer[abi.LOOP_INFO64.size :]
    return ioctls.status_of(info), abi.U64.unpack(diskseq)[0] if diskseq else None


def _file(handle: Handle) -> io.FileIO:
    return cast("io.FileIO", handle)


def _number_of(handle: Handle) -> int:
    return _file(handle).fileno()


def _loop_info(handle: Handle, within: float | None) -> bytes:
    if within is None:
        return ioctls.get_status(_number_of(handle))
    return _child_ioctl(handle, abi.LOOP_GET_STATUS64, bytes(abi.LOOP_INFO64.size), within)


def _child_ioctl(handle: Handle, request: int, argument: bytes, within: float) -> bytes:
    return guarded.call("ioctl", str(request), argument.hex(), descriptor=_file(handle), within=within)


def _add(control: int, number: int) -> None:
    try:
        ioctls.ctl_add(control, number)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
