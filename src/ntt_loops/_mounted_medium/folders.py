"""The folders that a medium is mounted on.

::

/mnt/ntt/                                   the root: a real folder, made where it is missing
└── 536a933b4481f605fcd44615740a9025/       layout "single": the mount point
    ├── p1/                                 layout "multi": one for each file system
    └── p5/
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from collections.abc import Collection

_PART = re.compile(rb"p\d+")
_MODE = 0o755
#: So many of the names that are in the way are told.
_SHOWN = 3
#: Folders are made again that somebody took away in between, so often.
_TRIES = 8


class Folders:
    """A medium's folders below a root.

    Attributes:
        base: The medium's own folder, absolute and without symlinks, as mountinfo has it.
    """

    def __init__(self, root: str | os.PathLike[str], medium: str) -> None:
        """Work out the paths; nothing is looked at yet but symlinks on the way to the root."""
        given = os.path.abspath(os.fsencode(root))
        self._root = os.path.join(os.path.realpath(os.path.dirname(given)), os.path.basename(given))
        self._medium = medium
        self.base = os.path.join(self._root, os.fsencode(medium))
        #: What this object may have made, in that order.
        self._made: list[bytes] = []

    def point(self, number: int | None) -> bytes:
        """Return the mount point of a partition, or of what is mounted alone."""
        return self.base if number is None else os.path.join(self.base, b"p%d" % number)

    def check(self, mount_points: Collection[bytes]) -> None:
        """See that the medium can be mounted here, where nothing of it is yet.

        Raises:
            MountError: The root is no real folder, or the medium's folder is in use.
        """
        self._check_folder(self._root)
        self._check_folder(self.base)
        if self.base in mount_points:
            raise self._error(
                self.base, "something else is mounted there: unmount it, or give another root", errno.EBUSY
            )
        if os.path.lexists(self.base):
            self._check_empty(mount_points)

    def _check_folder(self, path: bytes) -> None:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(path, error.strerror or str(error), error.errno or errno.EIO) from error
        if stat.S_ISLNK(mode):
            raise self._error(path, "it is a symlink: remove it, or give its target", errno.ELOOP)
        if not stat.S_ISDIR(mode):
            raise self._error(path, "it is no folder: remove it, or give another root", errno.ENOTDIR)

    def _check_empty(self, mount_points: Collection[bytes]) -> None:
        """See that there is nothing but what a killed run may have left: empty folders of partitions."""
        used = [name for name in sorted(os.listdir(self.base)) if not self._is_left_over(name, mount_points)]
        if used:
            shown = ", ".join(map(os.fsdecode, used[:_SHOWN])) + (", ..." if len(used) > _SHOWN else "")
            raise self._error(self.base, f"it is not empty, it holds {shown}: empty it", errno.ENOTEMPTY)

    def _is_left_over(self, name: bytes, mount_points: Collection[bytes]) -> bool:
        path = os.path.join(self.base, name)
        if not _PART.fullmatch(name) or path in mount_points:
            return False
        return stat.S_ISDIR(os.lstat(path).st_mode) and not os.listdir(path)

    def make(self, path: bytes) -> None:
        """Make a mount point, and what is missing above it.

        Raises:
            MountError: It cannot be made.
        """
        for _ in range(_TRIES):
            try:
                self._make_missing(path)
            except FileNotFoundError as error:  # another medium's run took the root away again that it had made
                failed: OSError = error
                continue
            except OSError as error:
                failed = error
                break
            return
        raise self._error(path, failed.strerror or str(failed), failed.errno or errno.EIO) from failed

    def _make_missing(self, path: bytes) -> None:
        missing = []
        while not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            self._made.append(folder)
            try:
                os.mkdir(folder, _MODE)
            except OSError as error:
                self._made.remove(folder)
                if error.errno != errno.EEXIST or not os.path.isdir(folder):
                    raise

    def undo(self) -> None:
        """Remove again what was made here and is empty."""
        while self._made:
            _remove(self._made[-1])
            self._made.pop()

    def drop(self, path: bytes) -> None:
        """Remove a mount point that was made here for nothing."""
        if path in self._made and _remove(path) is None:
            self._made.remove(path)

    def tidy(self) -> str:
        """Remove the medium's folders as far as they are empty; return why its own one stays, "" where it is gone."""
        try:
            names = os.listdir(self.base)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        for name in filter(_PART.fullmatch, names):
            _remove(os.path.join(self.base, name))
        error = _remove(self.base)
        return "" if error is None else f"the folder {os.fsdecode(self.base)} stays: {error.strerror}"

    def _error(self, path: bytes, what: str, number: int) -> MountError:
        message = f"medium {self._medium} cannot be mounted at {os.fsdecode(self.base)}: {os.fsdecode(path)}: {what}"
        return MountError(message, medium=self._medium, text=what, errno=number)


def _remove(path: bytes) -> OSError | None:
    """Remove an empty folder; return why it stays."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EROFS):
            raise
        return error
    return None
