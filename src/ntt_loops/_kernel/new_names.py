"""Giving a file that is whole its name, never one that is taken: EEXIST. The name is on the disk when it is given."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: RENAME_NOREPLACE and AT_FDCWD of renameat2(2), which Python has no name for.
_NO_REPLACE = 1
_HERE = -100
#: What link(2) says on file systems without hard links: vfat, exfat.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def link_open(number: int, path: str) -> None:
    """Give an open file its first name."""
    folder, name = os.path.split(path)
    with _synced(folder) as there:  # with a folder's number Python calls linkat(2), which alone follows this symlink
        os.link(f"/proc/self/fd/{number}", name, dst_dir_fd=there, follow_symlinks=True)


def rename_new(old: str, path: str) -> None:
    """Give a file another name."""
    with _synced(os.path.dirname(path)):
        try:
            os.link(old, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _rename_without_links(old, path)
        else:
            os.unlink(old)


def _rename_without_links(old: str, path: str) -> None:
    import ctypes  # noqa: PLC0415 - for sticks and cards only

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(old), _HERE, os.fsencode(path), _NO_REPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), old, None, path)


@contextlib.contextmanager
def _synced(folder: str) -> Iterator[int]:
    """Open a folder, and have its new names on the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
        os.fsync(number)
    finally:
        os.close(number)
