"""The loop ioctls and their sysfs files, raw, for tests: an oracle that shares no code with the library.

A function is one system call or one read of sysfs and raises the kernel's own OSError. Two things do more:
`attach` tries again while others are faster, and `Attachment.detach` clears a device only while it is still
the same attachment, so that a test can neither leak a device nor take a stranger's.
"""

from __future__ import annotations

import array
import ctypes
import dataclasses
import enum
import errno
import fcntl
import os
import random
import secrets
import struct
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECTOR_BYTES = 512
#: What the kernel keeps of lo_file_name (F4).
NAME_BYTES = 63
#: Far longer than anything here takes on a busy machine.
DEADLINE_SECONDS = 180.0

_LOOP_CLR_FD = 0x4C01
_LOOP_SET_STATUS64 = 0x4C04
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_CHANGE_FD = 0x4C06
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_ADD = 0x4C80
_LOOP_CTL_REMOVE = 0x4C81
_LOOP_CTL_GET_FREE = 0x4C82
_BLKROSET = 0x125D
_BLKPG = 0x1269
_BLKPG_ADD_PARTITION = 1
_BLKPG_DEL_PARTITION = 2
_BLKGETSIZE64 = 0x80081272
_BLKGETDISKSEQ = 0x80081280

_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")  # struct loop_info64
_CONFIG = struct.Struct(f"=2I{_INFO64.size}s64x")  # struct loop_config


class Flag(enum.IntFlag):
    """LO_FLAGS_*; UNKNOWN is a bit that no kernel knows."""

    NONE = 0
    READ_ONLY = 1
    AUTOCLEAR = 4
    PARTSCAN = 8
    DIRECT_IO = 16
    UNKNOWN = 1 << 30


@dataclasses.dataclass(frozen=True)
class Status:
    """struct loop_info64; `device` and `inode` are those of the backing file."""

    device: int = 0
    inode: int = 0
    offset: int = 0
    size_limit: int = 0
    number: int = 0
    flags: Flag = Flag.NONE
    file_name: bytes = b""
    crypt_name: bytes = b""

    def pack(self) -> bytes:
        lead = (self.device, self.inode, 0, self.offset, self.size_limit, self.number, 0, 0, self.flags)
        return _INFO64.pack(*lead, self.file_name, self.crypt_name, b"", 0, 0)

    @classmethod
    def unpack(cls, raw: bytes) -> Status:
        """From what the kernel wrote; names end at their first NUL."""
        device, inode, _, offset, limit, number, _, _, flags, name, crypt, *_ = _INFO64.unpack(raw)
        names = (name.partition(b"\0")[0], crypt.partition(b"\0")[0])
        return cls(device, inode, offset, limit, number, Flag(flags), *names)


class _BlkpgPartition(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_longlong),
        ("length", ctypes.c_longlong),
        ("pno", ctypes.c_int),
        ("devname", ctypes.c_char * 64),
        ("volname", ctypes.c_char * 64),
    )


class _BlkpgArgument(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("datalen", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )


def node(number: int, partition: int | None = None) -> Path:
    """Path of the device node, or of a partition's."""
    return Path(f"/dev/loop{number}" if partition is None else f"/dev/loop{number}p{partition}")


@contextmanager
def opened(path: os.PathLike[str] | str, flags: int = os.O_RDONLY) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _control(request: int, number: int = 0) -> int:
    with opened("/dev/loop-control", os.O_RDWR) as fd:
        return fcntl.ioctl(fd, request, number)


def get_free() -> int:
    return _control(_LOOP_CTL_GET_FREE)


def add(number: int) -> int:
    return _control(_LOOP_CTL_ADD, number)


def remove(number: int) -> None:
    _control(_LOOP_CTL_REMOVE, number)


def configure(fd: int, image_fd: int, status: Status | None = None, *, sector_bytes: int = 0) -> None:
    info = (status or Status()).pack()
    fcntl.ioctl(fd, _LOOP_CONFIGURE, _CONFIG.pack(image_fd & 0xFFFFFFFF, sector_bytes, info))


def clear(fd: int) -> None:
    fcntl.ioctl(fd, _LOOP_CLR_FD)


def change_fd(fd: int, image_fd: int) -> None:
    fcntl.ioctl(fd, _LOOP_CHANGE_FD, image_fd)


def get_status(fd: int) -> Status:
    return Status.unpack(fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(_INFO64.size)))


def set_status(fd: int, status: Status) -> None:
    fcntl.ioctl(fd, _LOOP_SET_STATUS64, status.pack())


def _read_u64(fd: int, request: int) -> int:
    answer = array.array("Q", [0])
    fcntl.ioctl(fd, request, answer)
    return answer[0]


def diskseq(fd: int) -> int | None:
    """BLKGETDISKSEQ; None where the kernel has none: EINVAL or ENOTTY before 5.15."""
    try:
        return _read_u64(fd, _BLKGETDISKSEQ)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        return None


def size_bytes(fd: int) -> int:
    return _read_u64(fd, _BLKGETSIZE64)


def set_read_only(fd: int, *, on: bool) -> None:
    fcntl.ioctl(fd, _BLKROSET, struct.pack("=i", on))


def _blkpg(fd: int, operation: int, partition: _BlkpgPartition) -> None:
    size = ctypes.sizeof(partition)
    fcntl.ioctl(fd, _BLKPG, bytes(_BlkpgArgument(operation, 0, size, ctypes.addressof(partition))))


def add_partition(fd: int, partition: int, start_bytes: int, length_bytes: int) -> None:
    _blkpg(fd, _BLKPG_ADD_PARTITION, _BlkpgPartition(start_bytes, length_bytes, partition))


def delete_partition(fd: int, partition: int) -> None:
    _blkpg(fd, _BLKPG_DEL_PARTITION, _BlkpgPartition(0, 0, partition))


def sysfs(number: int, attribute: str) -> bytes | None:
    """A file below /sys/block/loopN without its last newline; None when there is no such file."""
    try:
        return Path(f"/sys/block/loop{number}/{attribute}").read_bytes().removesuffix(b"\n")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):  # ENODEV: it went between open and read
            raise
        return None


def backing_file(number: int) -> bytes | None:
    """Path of the backing file as sysfs has it; None when the device is not bound."""
    return sysfs(number, "loop/backing_file")


def is_bound(number: int) -> bool:
    """Whether sysfs shows the device as bound, which it also does in rundown."""
    return Path(f"/sys/block/loop{number}/loop").is_dir()


def partitions(number: int) -> list[int]:
    """Numbers of the partitions the kernel has on the device."""
    found = Path(f"/sys/block/loop{number}").glob(f"loop{number}p*/partition")
    return sorted(int(path.read_bytes()) for path in found)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Ask again, with jitter, until `holds()`; AssertionError with `what` at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {what}"
        time.sleep(random.uniform(0.001, 0.01))


def clear_as_only_opener(fd: int) -> None:
    """LOOP_CLR_FD until it takes: a stranger who looks at the device for a moment makes it a deferred one."""

    def is_taken() -> bool:
        try:
            clear(fd)
            get_status(fd)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return True
        return False

    wait_until(is_taken, "LOOP_CLR_FD as the only opener")


@dataclasses.dataclass
class Attachment:
    """One image on one device, known by its diskseq; before 5.15 (None) by the name in its status, or the inode.

    SET_STATUS64 changes the name, CHANGE_FD the inode.
    """

    number: int
    node: Path
    name: bytes
    inode: int
    diskseq: int | None
    fd: int | None

    @property
    def held(self) -> int:
        """The descriptor that LOOP_CONFIGURE was called on."""
        assert self.fd is not None, "the held descriptor is closed"
        return self.fd

    def close(self) -> None:
        """Close the held descriptor, nothing else."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)

    def is_attached(self) -> bool:
        """Whether sysfs shows this attachment; opens nothing."""
        sequence = sysfs(self.number, "diskseq")
        return is_bound(self.number) and (sequence is None or int(sequence) == self.diskseq)

    def detach(self) -> None:
        """Close the held descriptor and make sure that this attachment is gone."""
        self.close()
        wait_until(self._is_gone, f"{self.node} no longer has this attachment")

    def _is_gone(self) -> bool:
        if self.is_attached():
            with suppress(FileNotFoundError), _detach_under_way(), opened(self.node) as fd:
                if self._is_on(fd):
                    clear(fd)
                    self._drop_partitions(fd)
        return not self.is_attached()

    def _is_on(self, fd: int) -> bool:
        if self.diskseq is None:
            status = get_status(fd)
            return status.file_name == self.name[:NAME_BYTES] or status.inode == self.inode
        return diskseq(fd) == self.diskseq

    def _drop_partitions(self, fd: int) -> None:
        for partition in partitions(self.number):
            with suppress(OSError):  # in use, or gone
                delete_partition(fd, partition)


@contextmanager
def _detach_under_way() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise


def _configured(path: Path, mode: int, image_fd: int, status: Status, sector_bytes: int) -> int | None:
    """One try; None when another process was faster."""
    fd = None
    try:
        fd = os.open(path, mode | os.O_CLOEXEC)
        configure(fd, image_fd, status, sector_bytes=sector_bytes)
    except OSError as error:
        if fd is not None:
            os.close(fd)
        if error.errno not in (errno.EBUSY, errno.EAGAIN, errno.ENXIO, errno.ENOENT):
            raise
        return None
    return fd


@contextmanager
def attach(  # noqa: PLR0913 - the ioctl has that many fields
    image: os.PathLike[str] | str | int,
    *,
    writable: bool = False,
    status: Status | None = None,
    sector_bytes: int = 0,
    number: int | None = None,
    private_node: Path | None = None,
) -> Iterator[Attachment]:
    """Attach an image (a path, or a descriptor), hold the device open, and leave nothing at the end.

    `writable` says how the path and the node are opened; `status` has flags, offset, size limit and name (an
    empty one is replaced); `number` is for a device of one's own: this one and no other, and `private_node` for
    one whose node is not in /dev.
    """
    mode = os.O_RDWR if writable else os.O_RDONLY
    wanted = status or Status()
    wanted = dataclasses.replace(wanted, file_name=wanted.file_name or f"raw:{secrets.token_hex(8)}".encode())
    image_fd = os.dup(image) if isinstance(image, int) else os.open(image, mode | os.O_CLOEXEC)
    made: list[Attachment] = []

    def is_attached() -> bool:
        target = get_free() if number is None else number
        path = private_node or node(target)
        fd = _configured(path, mode, image_fd, wanted, sector_bytes)
        if fd is not None:
            made.append(Attachment(target, path, wanted.file_name, os.fstat(image_fd).st_ino, diskseq(fd), fd))
        return fd is not None

    try:
        wait_until(is_attached, "an attachment")
    finally:
        os.close(image_fd)
    try:
        yield made[0]
    finally:
        made[0].detach()
