"""The loop ioctls: Python values in, Python values out. Each takes the number of an open descriptor."""

from __future__ import annotations

import array
import errno
import fcntl

from ntt_loops._kernel import abi
from ntt_loops._kernel.values import LoopConfig, LoopStatus


def ctl_get_free(control: int) -> int:
    """Return a number that is free now (F1)."""
    return fcntl.ioctl(control, abi.LOOP_CTL_GET_FREE)


def ctl_add(control: int, number: int) -> None:
    """Make the device of that number; EEXIST where there is one."""
    fcntl.ioctl(control, abi.LOOP_CTL_ADD, number)


def configure(device: int, image: int, config: LoopConfig) -> None:
    """Bind ``image`` in one step (F2)."""
    flags = (
        abi.LO_FLAGS_READ_ONLY * config.read_only
        | abi.LO_FLAGS_AUTOCLEAR * config.autoclear
        | abi.LO_FLAGS_PARTSCAN * config.partscan
    )
    info = abi.LOOP_INFO64.pack(
        0, 0, 0, config.offset_bytes, config.size_limit_bytes, 0, 0, 0, flags, config.name, b"", b"", 0, 0
    )
    head = abi.LOOP_CONFIG_HEAD.pack(image, config.sector_size_bytes)
    fcntl.ioctl(device, abi.LOOP_CONFIGURE, head + info + abi.LOOP_CONFIG_TAIL)


def get_status(device: int) -> bytes:
    """Return the loop_info64 as it is."""
    return fcntl.ioctl(device, abi.LOOP_GET_STATUS64, bytes(abi.LOOP_INFO64.size))


def status_of(info: bytes) -> LoopStatus:
    """Read a loop_info64."""
    fields = abi.LOOP_INFO64.unpack(info)
    flags = fields[8]
    return LoopStatus(
        number=fields[5],
        backing_dev=fields[0],
        backing_inode=fields[1],
        offset_bytes=fields[3],
        size_limit_bytes=fields[4],
        name=fields[9].split(b"\0", 1)[0],
        read_only=bool(flags & abi.LO_FLAGS_READ_ONLY),
        autoclear=bool(flags & abi.LO_FLAGS_AUTOCLEAR),
        partscan=bool(flags & abi.LO_FLAGS_PARTSCAN),
    )


def with_autoclear(info: bytes, *, on: bool) -> bytes:
    """Return the loop_info64 with that one flag set or cleared: all else stays as the kernel said it (F12)."""
    fields = list(abi.LOOP_INFO64.unpack(info))
    fields[8] = fields[8] | abi.LO_FLAGS_AUTOCLEAR if on else fields[8] & ~abi.LO_FLAGS_AUTOCLEAR
    return abi.LOOP_INFO64.pack(*fields)


def set_status(device: int, info: bytes) -> None:
    """Set the loop_info64."""
    fcntl.ioctl(device, abi.LOOP_SET_STATUS64, info)


def clear(device: int) -> None:
    """LOOP_CLR_FD (F16, F17)."""
    fcntl.ioctl(device, abi.LOOP_CLR_FD)


def get_diskseq(device: int) -> int | None:
    """Return the diskseq; None where the kernel has none: EINVAL or ENOTTY before 5.15 (F8)."""
    try:
        answer = fcntl.ioctl(device, abi.BLKGETDISKSEQ, bytes(abi.U64.size))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY):
            return None
        raise
    return int(abi.U64.unpack(answer)[0])


def get_size_bytes(device: int) -> int:
    """Return the size of a block device."""
    return int(abi.U64.unpack(fcntl.ioctl(device, abi.BLKGETSIZE64, bytes(abi.U64.size)))[0])


def delete_partition(device: int, partition: int) -> None:
    """Delete one partition of a disk; EBUSY while it is open (F32, F37)."""
    data = array.array("b", abi.BLKPG_PARTITION.pack(0, 0, partition, b"", b""))
    address, length = data.buffer_info()
    fcntl.ioctl(device, abi.BLKPG, abi.BLKPG_IOCTL_ARG.pack(abi.BLKPG_DEL_PARTITION, 0, length, address))
