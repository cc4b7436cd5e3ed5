"""What a device is bound to: a real image file, or another device."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING, Protocol

import attrs

from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops.testing._failures import failure

if TYPE_CHECKING:
    from ntt_loops.testing._device import Device

DESCRIPTORS = "/proc/self/fd"
#: What GET_STATUS64 says of a node in /dev as backing file: devtmpfs is some device, the node's inode its number.
_DEVTMPFS = 6


class Backing(Protocol):
    """The backing file."""

    @property
    def file_id(self) -> tuple[int, int]:
        """(dev, inode), as GET_STATUS64 says it (F29)."""

    @property
    def size_bytes(self) -> int:
        """Its size."""

    @property
    def is_writable(self) -> bool:
        """Whether it was opened for writing."""

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Return its bytes there."""

    def path(self) -> bytes:
        """Return what sysfs says: the present path, " (deleted)" behind it where its entry is gone (F28)."""

    def close(self) -> None:
        """Let it go."""


class _OwnDescriptor(io.FileIO):
    """The kernel's own: collected open it closes without a word."""

    def __del__(self) -> None:
        self.close()


class ImageFile:
    """A regular file, kept open by a descriptor of its own: an unlinked image lives on (F22)."""

    def __init__(self, image: io.FileIO) -> None:
        if not stat.S_ISREG(os.fstat(image.fileno()).st_mode):
            raise failure(errno.EINVAL)
        # map is C: between dup(2) and the object that owns the number no Python code runs.
        self._file = next(map(_OwnDescriptor, map(os.dup, [image.fileno()])))
        self._first_path = _first_path(image)

    @property
    def file_id(self) -> tuple[int, int]:
        """(dev, inode)."""
        status = os.fstat(self._file.fileno())
        return status.st_dev, status.st_ino

    @property
    def size_bytes(self) -> int:
        """Its size now."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def is_writable(self) -> bool:
        """Whether its descriptor can write: write(2) of nothing says EBADF where it cannot."""
        try:
            os.write(self._file.fileno(), b"")
        except OSError as error:
            if error.errno == errno.EBADF:
                return False
            raise
        return True

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """pread(2)."""
        return os.pread(self._file.fileno(), size_bytes, offset_bytes)

    def path(self) -> bytes:
        """Return where it is now; empty where nobody can say."""
        try:
            return os.readlink(f"{DESCRIPTORS}/{self._file.fileno()}".encode())
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return b""
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                raise
        return self._path_without_proc()

    def _path_without_proc(self) -> bytes:
        if not self._first_path:
            return b""
        try:
            there = os.lstat(self._first_path)
        except (FileNotFoundError, NotADirectoryError):
            return self._first_path + DELETED_SUFFIX
        is_same = (there.st_dev, there.st_ino) == self.file_id
        return self._first_path if is_same else self._first_path + DELETED_SUFFIX

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()


@attrs.frozen
class LowerDevice:
    """Another loop device, or one of its partitions: this one is stacked on it."""

    device: Device
    partition: int | None
    node: bytes
    rdev: int

    @property
    def file_id(self) -> tuple[int, int]:
        """(dev, inode) of the node."""
        return _DEVTMPFS, self.rdev

    @property
    def size_bytes(self) -> int:
        """The size of the device or partition."""
        return self.device.size_bytes(self.partition)

    @property
    def is_writable(self) -> bool:
        """Never: whoever stacks looks only."""
        return False

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Read the device below, from where its partition begins."""
        start_bytes = 0 if self.partition is None else self.device.partitions[self.partition].start_bytes
        return self.device.read(start_bytes + offset_bytes, size_bytes)

    def path(self) -> bytes:
        """Return the node."""
        return self.node

    def close(self) -> None:
        """Do nothing: the opener that it is goes with the binding."""


def _first_path(image: io.FileIO) -> bytes:
    name: object = image.name
    return os.path.abspath(os.fsencode(name)) if isinstance(name, str | bytes | os.PathLike) else b""
