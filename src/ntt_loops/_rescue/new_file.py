"""A file that has no name until it is whole: whoever is killed before leaves nothing.

Where a file system has no files without a name (NFS, FUSE, vfat), it has a name of its own beside the one that it is to
get: then a copy that was killed leaves ``.ntt-loops-rescue-XXXXXX``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets

from ntt_loops._kernel import new_names
from ntt_loops._kernel.descriptors import open_descriptor

#: How a file system says that it has none; what else stands against it comes again with a name.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
#: A closed file that never was one: nothing is opened for it.
_NO_FILE = io.FileIO.__new__(io.FileIO)


class NewFile:
    """What is to be the file at ``path``, in its folder.

    Enter it twice, as in ``with target, target:``, and open it in the block: a Ctrl-C may hit one exit.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(path)
        self._temporary = ""
        self._file: io.FileIO = _NO_FILE

    def open(self) -> None:
        """Make it, empty."""
        try:
            self._file = open_descriptor(self._folder, os.O_TMPFILE | os.O_RDWR)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
            self._temporary = os.path.join(self._folder, f".ntt-loops-rescue-{secrets.token_hex(3)}")
            self._file = open_descriptor(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Close it; without its name it is gone."""
        self._file.close()
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)

    def write(self, block: bytes, offset_bytes: int) -> None:
        """Write the whole block there."""
        rest = memoryview(block)
        while rest:
            written = os.pwrite(self._file.fileno(), rest, offset_bytes)
            rest, offset_bytes = rest[written:], offset_bytes + written

    def finish(self, size_bytes: int) -> None:
        """Give it its size and have it on the disk, so that what is read from now on is from there."""
        os.ftruncate(self._file.fileno(), size_bytes)
        os.fsync(self._file.fileno())
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Read back what is in it."""
        return os.pread(self._file.fileno(), size_bytes, offset_bytes)

    def publish(self) -> None:
        """Give it its name; FileExistsError where that is taken."""
        if self._temporary:
            new_names.rename_new(self._temporary, self._path)
        else:
            new_names.link_open(self._file.fileno(), self._path)
