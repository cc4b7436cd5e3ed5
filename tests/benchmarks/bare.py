"""The least that a Python program does: the ioctls alone, without record, identity or check."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLR_FD: Final = 0x4C01
_CONFIGURE: Final = 0x4C0A
_GET_FREE: Final = 0x4C82
_READ_ONLY_PARTSCAN: Final = 1 | 8
#: struct loop_config: descriptor, block size, a struct loop_info64 of which only the flags are set.
_CONFIG: Final = struct.Struct("=2I52xI248x")
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC
#: Another process had the number first, or looks at it.
_LOST: Final = (errno.EBUSY, errno.EAGAIN, errno.ENXIO, errno.ENOENT)


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def cycle(image: str) -> int:
    """Attach an image read-only, detach it; return how many numbers were tried."""
    image_fd = os.open(image, _OPEN)
    device_fd, tries = _bound(image_fd)
    fcntl.ioctl(device_fd, _CLR_FD)
    os.close(device_fd)
    os.close(image_fd)
    return tries


def _bound(image_fd: int) -> tuple[int, int]:
    """Bind it to a free number; return the open device, and how many numbers were tried."""
    tries = 0
    while True:
        tries += 1
        control_fd = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        number = fcntl.ioctl(control_fd, _GET_FREE)
        os.close(control_fd)
        try:
            return _configured(f"/dev/loop{number}", image_fd), tries
        except OSError as error:
            if error.errno not in _LOST:
                raise


def _configured(node: str, image_fd: int) -> int:
    device_fd = os.open(node, _OPEN)
    try:
        fcntl.ioctl(device_fd, _CONFIGURE, _CONFIG.pack(image_fd, 0, _READ_ONLY_PARTSCAN))
    except OSError:
        os.close(device_fd)
        raise
    return device_fd


def attach(image: str) -> str:
    """Attach an image and return the node; it stays."""
    with _closing(os.open(image, _OPEN)) as image_fd:
        device_fd, _ = _bound(image_fd)
        node = str(Path(f"/proc/self/fd/{device_fd}").readlink())
        os.close(device_fd)
        return node


def attach_to(node: str, image: str) -> None:
    """Attach an image to that device; it stays."""
    with _closing(os.open(image, _OPEN)) as image_fd:
        os.close(_configured(node, image_fd))


def detach(node: str) -> None:
    """Open, LOOP_CLR_FD, close: whatever is attached there now."""
    with _closing(os.open(node, _OPEN)) as device_fd:
        fcntl.ioctl(device_fd, _CLR_FD)
