"""One medium's ledger file, open under its lock.

Lines are appended, each change with one write(2). The file goes when its last entry is gone. Nothing is synced: the
kernel's devices die with the machine, as /run does.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ntt_loops._kernel import flock
from ntt_loops._ledger import contents
from ntt_loops._ledger.contents import Kind
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable
    from types import TracebackType

    from ntt_loops._ledger.record import Key, Record

logger = logging.getLogger("ntt_loops")

#: A file with this many lines, and four times as many as it has entries, is written anew when it is closed.
_MANY_LINES = 512
#: A ledger is mostly of some hundred bytes.
_CHUNK_BYTES = 65536


class Book:
    """The records of one medium, as long as its lock is held.

    Attributes:
        medium: Whose they are.
        registry: What the tags of this folder's attachments carry.
        entries: What is attached by the record, by key.
        forgotten: Records of another boot, where the file held such.
        set_aside: Where a corrupt file was moved to.
        problem: Why nothing can be written, else None.
    """

    def __init__(  # noqa: PLR0913 - what its opener found out about it
        self, file: io.FileIO, path: str, medium: str, boot_id: str, *, registry: str, refused: int
    ) -> None:
        self.medium = medium
        self.registry = registry
        self.path = path
        self.set_aside: Path | None = None
        self.problem: LedgerError | None = None
        self._file = file
        self._boot_id = boot_id
        text = read_whole(file)
        self._size = len(text)
        found = contents.read(text, medium, boot_id)
        self.kind = found.kind
        is_ours = found.kind is Kind.GOOD
        self.entries: dict[Key, Record] = found.entries if is_ours else {}
        self.forgotten: tuple[Record, ...] = () if is_ours else tuple(found.entries.values())
        self._whole_bytes = found.whole_bytes if is_ours else 0
        self._lines = found.lines if is_ours else 0
        if refused:
            self.problem = self._error("is on a read-only file system, or may not be written", refused)
        elif found.kind is Kind.UNKNOWN_FORMAT:
            self.problem = self._error("has a format that this version does not know; it was left as it is")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, record: Record) -> None:
        """Put an attachment on record; LedgerError when it cannot be written, and then it is not."""
        if not self.entries:  # the lines of what was removed are not to be read again: the file begins anew
            self._whole_bytes = 0
        head = contents.header(self.medium, self._boot_id) if self._whole_bytes == 0 else b""
        self._write(head + contents.attached(record))
        self.entries[record.key] = record

    def restore(self, records: Iterable[Record]) -> None:
        """Take over what a lost file held; where it cannot be written it is known all the same."""
        for record in records:
            if record.key in self.entries:
                continue
            try:
                self.add(record)
            except LedgerError as error:
                self.problem = error
                self.entries[record.key] = record

    def remove(self, key: Key) -> None:
        """Record that an attachment is gone; the last one takes the file with it."""
        if key not in self.entries:
            return
        if len(self.entries) > 1 or self.problem is not None:
            self._write(contents.event("detached", key))
        del self.entries[key]

    def disown(self, key: Key) -> None:
        """Record that the owner of a scoped attachment has let it go, though it is still bound."""
        if key in self.entries:
            self._write(contents.event("disowned", key))
            contents.disown(self.entries, key)

    def _write(self, data: bytes) -> None:
        """Append to what is whole."""
        if self.problem is not None:
            raise self.problem
        try:
            self._cut()
            self._size += os.write(self._file.fileno(), data)
            if self._size < self._whole_bytes + len(data):
                self._cut()
                raise self._error("cannot be written: the file system is full", errno.ENOSPC)
        except LedgerError:
            raise
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}", error.errno) from error
        self._whole_bytes = self._size
        self._lines += 1

    def _cut(self) -> None:
        """Cut off what is not whole: a torn line, or another boot's records."""
        if self._whole_bytes < self._size:
            os.truncate(self._file.fileno(), self._whole_bytes)
            self._size = self._whole_bytes

    def close(self) -> None:
        """Remove the file if nothing is on record, let the lock go, close; again does nothing."""
        if self._file.closed:
            return
        try:
            if self.problem is None:
                self._tidy()
        finally:
            flock.unlock(self._file.fileno())
            self._file.close()

    def set_aside_as(self, path: str) -> None:
        """Move the file to another name and let it go; the next opener makes a new one."""
        try:
            os.rename(self.path, path)
        finally:
            self.problem = self._error("was set aside")
            self.close()

    def _tidy(self) -> None:
        if not self.entries:
            self._remove_file()
        elif self._lines > max(_MANY_LINES, 4 * len(self.entries)):
            self._write_anew()

    def _remove_file(self) -> None:
        """Remove the file, unless somebody removed or replaced it by hand; where it cannot go, it is emptied."""
        if not is_at(self._file, self.path):
            return
        try:
            os.unlink(self.path)
        except OSError as error:
            logger.warning("%s", self._error(f"cannot be removed: {error.strerror}"), extra={"medium": self.medium})
            with contextlib.suppress(OSError):  # then its records are of what is gone, and a later look forgets them
                os.truncate(self._file.fileno(), 0)

    def _write_anew(self) -> None:
        """Replace a file of mostly past events; whoever waits for this lock finds another inode and opens that."""
        text = contents.header(self.medium, self._boot_id)
        text += b"".join(map(contents.attached, self.entries.values()))
        replacement = Path(self.path + ".new")
        try:
            replacement.unlink(missing_ok=True)
            replacement.touch(mode=0o600, exist_ok=False)
            replacement.write_bytes(text)
            replacement.replace(self.path)
        except OSError:  # no space for it: the long file serves as well
            replacement.unlink(missing_ok=True)

    def _error(self, what: str, number: int | None = None) -> LedgerError:
        return LedgerError(
            f"the ledger of medium {self.medium!r} ({self.path}) {what}",
            medium=self.medium,
            path=self.path,
            errno=number,
        )


def is_at(file: io.FileIO, path: str) -> bool:
    """Whether an open file is the one of that name."""
    try:
        named = os.lstat(path)
    except OSError:  # whatever the errno, it cannot be reached by that name
        return False
    return os.path.samestat(os.fstat(file.fileno()), named)


def read_whole(file: io.FileIO) -> bytes:
    """Return all bytes of a regular file."""
    chunks = [os.pread(file.fileno(), _CHUNK_BYTES, 0)]
    while len(chunks[-1]) == _CHUNK_BYTES:  # a short one is the last
        chunks.append(os.pread(file.fileno(), _CHUNK_BYTES, len(chunks) * _CHUNK_BYTES))
    return b"".join(chunks)
