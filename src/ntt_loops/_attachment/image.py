"""The image: opened once, looked at, refused where it cannot work. Everything later uses that one descriptor."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops._kernel.values import SECTOR_BYTES
from ntt_loops.errors import ImageError, ImageNotFoundError, ImagePermissionError

if TYPE_CHECKING:
    import io

#: st_blocks counts these, whatever the file system's own block is.
_STAT_BLOCK_BYTES = 512


@attrs.frozen
class Extent:
    """Which part of the image to attach, and as what."""

    offset_bytes: int = 0
    #: 0: up to the end of the image.
    size_limit_bytes: int = 0
    #: None: the kernel's own choice, 512.
    sector_size_bytes: int | None = None

    @property
    def sector_bytes(self) -> int:
        """The sector size that results."""
        return self.sector_size_bytes or SECTOR_BYTES


@attrs.frozen
class OpenImage:
    """An image that can be attached.

    ``path`` is absolute, as it was given, symlinks not followed; all else is of the file that the descriptor is open
    on, ``backing_file`` its path as the kernel will show it.
    """

    file: io.FileIO
    path: str
    backing_file: bytes
    dev: int
    inode: int
    #: Bytes of the image that the device will show.
    size_bytes: int
    #: Bytes of the whole file.
    file_bytes: int
    #: Bytes at the end that are no whole sector, so that no loop device can show them (F5).
    tail_bytes: int
    is_sparse: bool

    def close(self) -> None:
        """Close the descriptor: the kernel has its own reference once it is bound."""
        self.file.close()


def open_image(image: str, *, writable: bool, extent: Extent) -> OpenImage:
    """Open an image and see that the extent of it can be attached; ImageError where not."""
    _check_numbers(image, extent)
    file = _open(image, writable=writable)
    try:
        found = os.fstat(file.fileno())
        _check_kind(image, found)
        visible = _visible_bytes(image, found.st_size, extent)
        backing_file = _path_of(file, image)
    except BaseException:
        file.close()
        raise
    size_bytes = visible - visible % SECTOR_BYTES
    return OpenImage(
        file=file,
        path=os.path.abspath(image),
        backing_file=backing_file,
        dev=found.st_dev,
        inode=found.st_ino,
        size_bytes=size_bytes,
        file_bytes=found.st_size,
        tail_bytes=visible - size_bytes,
        is_sparse=found.st_blocks * _STAT_BLOCK_BYTES < found.st_size,
    )


def _check_numbers(image: str, extent: Extent) -> None:
    for name in ("offset_bytes", "size_limit_bytes"):
        value = getattr(extent, name)
        if type(value) is not int or value < 0:
            raise _refusal(image, f"{name} is a number of bytes, zero or more, not {value!r}")
    size = extent.sector_size_bytes
    if size is not None and (type(size) is not int or size < SECTOR_BYTES or size & (size - 1)):
        raise _refusal(image, f"sector_size_bytes is a power of two from {SECTOR_BYTES} on, not {size!r}")


def _open(image: str, *, writable: bool) -> io.FileIO:
    # O_NONBLOCK: a fifo in the image's place must not hang the open. It means nothing for a regular file.
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NONBLOCK
    try:
        return open_descriptor(image, flags)
    except FileNotFoundError as error:
        message = f"there is no image {image}: see whether the name is right and its file system mounted"
        raise ImageNotFoundError(message, image=image) from error
    except PermissionError as error:
        message = f"the image {image} may not be opened {_how(writable=writable)}: {error.strerror}"
        raise ImagePermissionError(message, image=image, errno=error.errno) from error
    except IsADirectoryError as error:
        raise _refusal(image, "is a directory", errno.EISDIR) from error
    except OSError as error:
        reason = f"cannot be opened {_how(writable=writable)}: {error.strerror}"
        raise _refusal(image, reason, error.errno or errno.EIO) from error
    except ValueError as error:
        message = f"image {image!r}: cannot be a path: {error}; nothing was attached"
        raise ImageError(message, image=image) from error


def _path_of(file: io.FileIO, image: str) -> bytes:
    """Return the path that the kernel has for an open file; where it says none, what the path leads to."""
    try:
        return os.readlink(f"/proc/self/fd/{file.fileno()}".encode())
    except OSError:  # no /proc here, or a path over 4095 bytes (F48)
        return os.fsencode(os.path.realpath(image))


def _how(*, writable: bool) -> str:
    return "for writing" if writable else "for reading"


def _check_kind(image: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise _refusal(image, "is a directory", errno.EISDIR)
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(image, "is no regular file")


def _visible_bytes(image: str, file_bytes: int, extent: Extent) -> int:
    """Return how many bytes the extent has; refuse what would attach as an empty or unreadable device (F5)."""
    if file_bytes == 0:
        raise _refusal(image, "is empty")
    offset, limit = extent.offset_bytes, extent.size_limit_bytes
    if offset >= file_bytes:
        raise _refusal(image, f"has {file_bytes} bytes, so nothing is at offset_bytes={offset}")
    if offset + limit > file_bytes:
        raise _refusal(image, f"has {file_bytes} bytes, fewer than offset_bytes={offset} + size_limit_bytes={limit}")
    visible = limit or file_bytes - offset
    sector = extent.sector_bytes
    if visible < sector:
        raise _refusal(image, f"has {visible} bytes to attach, less than one sector of {sector}")
    if (visible - visible % SECTOR_BYTES) % sector:
        reason = (
            f"has {visible} bytes to attach, no multiple of sector_size_bytes={sector}: the end would not be readable"
        )
        raise _refusal(image, reason)
    return visible


def _refusal(image: str, reason: str, number: int = errno.EINVAL) -> ImageError:
    return ImageError(f"image {image}: {reason}; nothing was attached", image=image, errno=number)
