"""The folder of ledger files: whose it must be, how a file is opened and locked, and which media there are."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._backoff import Deadline, NotYet, retry
from ntt_loops._kernel import flock
from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops._ledger import contents, names, rebuild
from ntt_loops._ledger.book import Book, is_at, read_whole
from ntt_loops._ledger.contents import Kind
from ntt_loops._ledger.tag import registry_of
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger.record import Record

logger = logging.getLogger("ntt_loops")

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK


class Ledger:
    """The ledger files below ``run_dir``."""

    def __init__(self, run_dir: str | os.PathLike[str], kernel: Kernel) -> None:
        self.run_dir = Path(run_dir)
        self._path = str(self.run_dir)
        self._kernel = kernel

    def registry(self) -> str | None:
        """Return what this folder's tags carry; None where there is no folder, so that nothing carries it.

        Raises:
            LedgerError: The folder is not to be trusted.
        """
        found = self._folder()
        if found is None:
            return None
        return self._registry_of(found)

    def _registry_of(self, folder: os.stat_result) -> str:
        return registry_of(self._kernel.boot_id(), folder.st_dev, folder.st_ino)

    def locked(self, medium: str, deadline: Deadline) -> Book:
        """Open the medium's file, made where there is none, under its lock.

        Raises:
            LedgerError: The folder or the file is not to be trusted or cannot be opened, or another process kept the
                lock until the deadline (errno EAGAIN). A file that can be read but not written is no error here:
                ``Book.problem`` says so.
        """
        book = self._locked(medium, deadline)
        if book.kind is not Kind.CORRUPT or book.problem is not None:
            return book
        aside = self._set_aside(book)
        book = self._locked(medium, deadline)
        book.set_aside = aside
        try:
            book.restore(rebuild.from_tags(self._kernel, book.registry, book.medium))
        except BaseException:
            book.close()
            raise
        return book

    def locked_for_reading(self, medium: str, deadline: Deadline) -> Book:
        """Open the medium's file under its lock, and change nothing; FileNotFoundError where there is none."""
        return self._locked(medium, deadline, for_change=False)

    def _locked(self, medium: str, deadline: Deadline, *, for_change: bool = True) -> Book:
        return retry(
            lambda: self._open_locked(medium, for_change=for_change),
            deadline,
            gave_up=lambda: self._locked_elsewhere(medium),
        )

    def peek(self, medium: str) -> Sequence[Record]:
        """Return the medium's records without the lock, for listings; what cannot be read or trusted is none."""
        try:
            self._folder()
            with self.open_file(self._file_path(medium), os.O_RDONLY) as file:
                found = contents.read(read_whole(file), medium, self._kernel.boot_id())
        except (FileNotFoundError, LedgerError):
            return ()
        return tuple(found.entries.values()) if found.kind is Kind.GOOD else ()

    def media(self) -> list[str]:
        """Return the media that have a file; LedgerError where the folder is not to be trusted."""
        if self._folder() is None:
            return []
        try:
            found = sorted(os.listdir(self.run_dir))
        except FileNotFoundError:
            return []
        except OSError as error:
            message = f"the ledger folder {self.run_dir} cannot be listed: {error.strerror}"
            raise LedgerError(message, path=self.run_dir, errno=error.errno) from error
        media = (names.medium_of(name) or self._medium_inside(name) for name in found if name.endswith(names.SUFFIX))
        return [medium for medium in media if medium is not None]

    def _medium_inside(self, name: str) -> str | None:
        """Return the medium that a shortened name stands for, as its header says."""
        try:
            with self.open_file(f"{self._path}/{name}", os.O_RDONLY) as file:
                medium = contents.read(read_whole(file), None, self._kernel.boot_id()).medium
            return medium if medium is not None and names.file_name(medium) == name else None
        except (FileNotFoundError, LedgerError, UnicodeEncodeError):
            return None

    def _file_path(self, medium: str) -> str:
        return f"{self._path}/{names.file_name(medium)}"

    def ensure_folder(self) -> os.stat_result:
        """Make the folder where it is missing, see that it can be trusted, and return its status."""
        found = self._folder()
        if found is None:
            found = self._make_folder()
            self._check(found)
        return found

    def _folder(self) -> os.stat_result | None:
        """Return the folder's status, None where it is missing; LedgerError where it is not to be trusted."""
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"the ledger folder {self.run_dir} cannot be reached: {error.strerror}"
            raise LedgerError(message, path=self.run_dir, errno=error.errno) from error
        self._check(found)
        return found

    def _make_folder(self) -> os.stat_result:
        try:
            self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.lstat(self._path)
        except OSError as error:
            message = f"the ledger folder {self.run_dir} cannot be made: {error.strerror}"
            raise LedgerError(message, path=self.run_dir, errno=error.errno) from error

    def _check(self, folder: os.stat_result) -> None:
        if not stat.S_ISDIR(folder.st_mode):
            what = "is not a folder"
        elif folder.st_uid != os.geteuid():
            what = f"belongs to uid {folder.st_uid}, not to uid {os.geteuid()} that this process runs as"
        elif folder.st_mode & _OTHERS_MAY_WRITE:
            what = "can be written by others"
        else:
            return
        message = f"the ledger folder {self.run_dir} {what}: nothing in it is believed; it must be 0700 and your own"
        raise LedgerError(message, path=self.run_dir, errno=errno.EPERM)

    def _open_locked(self, medium: str, *, for_change: bool) -> Book:
        path = self._file_path(medium)
        folder = self.ensure_folder() if for_change else self._folder()
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        file, refused = self._open_for_change(path) if for_change else (self.open_file(path, os.O_RDONLY), errno.EROFS)
        try:
            _lock(file, path)
            registry = self._registry_of(folder)
            return Book(file, path, medium, self._kernel.boot_id(), registry=registry, refused=refused)
        except BaseException:
            file.close()
            raise

    def _open_for_change(self, path: str) -> tuple[io.FileIO, int]:
        """Open for reading and writing, else for reading alone; return the errno of what was refused, 0 if nothing."""
        try:
            return self.open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), 0
        except FileNotFoundError:  # the folder went since it was looked at
            raise NotYet from None
        except LedgerError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            refused = error
        try:
            return self.open_file(path, os.O_RDONLY), refused.errno or errno.EROFS
        except FileNotFoundError:
            raise refused from None

    def open_file(self, path: str, flags: int) -> io.FileIO:
        """Open a file of the folder; FileNotFoundError where it is missing, LedgerError if it is not to be trusted."""
        try:
            file = open_descriptor(path, flags | _FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            message = f"the ledger file {path} cannot be opened: {error.strerror}"
            raise LedgerError(message, path=path, errno=error.errno) from error
        try:
            self._check_file(file, path)
        except BaseException:
            file.close()
            raise
        return file

    def _check_file(self, file: io.FileIO, path: str) -> None:
        found = os.fstat(file.fileno())
        is_trusted = (
            stat.S_ISREG(found.st_mode)
            and found.st_uid == os.geteuid()
            and found.st_nlink <= 1
            and not found.st_mode & _OTHERS_MAY_WRITE
        )
        if not is_trusted:
            message = f"the ledger file {path} was not made by this library (owner, mode or links): it is not believed"
            raise LedgerError(message, path=path, errno=errno.EPERM)

    def _set_aside(self, book: Book) -> Path:
        aside = f"{book.path}.aside-{time.time_ns():x}"
        book.set_aside_as(aside)
        logger.warning(
            "the ledger of medium %r could not be read; it was set aside as %s and made anew from the devices' tags",
            book.medium,
            aside,
            extra={"medium": book.medium, "set_aside": aside},
        )
        return Path(aside)

    def _locked_elsewhere(self, medium: str) -> LedgerError:
        path = self._file_path(medium)
        message = f"the ledger of medium {medium!r} ({path}) is locked by another process; try again"
        return LedgerError(message, medium=medium, path=path, errno=errno.EAGAIN)


def _lock(file: io.FileIO, path: str) -> None:
    """Take the lock of the file that has that name; NotYet where it is taken, or the file was removed or replaced."""
    if not flock.try_lock(file.fileno()):
        raise NotYet
    if not is_at(file, path):
        flock.unlock(file.fileno())
        raise NotYet
