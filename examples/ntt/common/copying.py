"""Copying the files of a mounted file system, by several threads; again, it goes on where it ended."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.medium import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    #: Shows a copy of so many files and bytes; told of each number of bytes that is done.
    Show = Callable[[int, int], AbstractContextManager[Callable[[int], object]]]

_PIECE_BYTES = 2**20


def regular_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the regular files below a folder with their sizes; what a link of the medium names is not looked at."""
    for place, folders, names in os.walk(folder, onerror=_fail):
        folders.sort()
        for name in sorted(names):
            found = (file := Path(place, name)).lstat()
            if stat.S_ISREG(found.st_mode):
                yield file, found.st_size


def _fail(error: OSError) -> None:
    raise error


def copy_tree(source: Path, target: Path, scratch: Path, workers: int, progress: Show) -> dict[str, str]:
    """Copy what is below a folder; return the SHA-256 of each file by its name in it.

    Raises:
        OSError: Some files could not be read - the others are copied -, or the target cannot be written.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
    scratch.mkdir(parents=True)
    sizes = [size for _, size in regular_files(source)]
    try:
        with progress(len(sizes), sum(sizes)) as advance:
            copier = Copier(source, target, scratch, advance)
            copier.run(workers)
    finally:
        shutil.rmtree(scratch)
    if copier.failures:
        message = f"{len(copier.failures)} of {len(sizes)} files were not copied: {copier.failures[0]}"
        raise OSError(message)
    return copier.sums


def sum_line(digest: str, name: str) -> str:
    """Return a line as sha256sum(1) writes it."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


class Copier:
    """Copies what is below ``source`` to below ``target``; the file that each thread is at grows in ``scratch``.

    All three belong to one file system but the source, so that a copy appears under its name when it is whole.
    """

    def __init__(self, source: Path, target: Path, scratch: Path, advance: Callable[[int], object]) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch
        self._advance = advance
        self._files = regular_files(source)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        #: The SHA-256 of each file that is copied, by its name below the source.
        self.sums: dict[str, str] = {}
        #: What could not be read, in words.
        self.failures: list[str] = []

    def run(self, workers: int) -> None:
        """Copy all; go on behind a file that cannot be read.

        Raises:
            OSError: The target cannot be written.
        """
        with ThreadPoolExecutor(workers) as pool:
            try:
                for future in [pool.submit(self._work) for _ in range(workers)]:
                    future.result()
            finally:  # an interruption, too, comes here: the threads then end at once
                self._stop.set()

    def _work(self) -> None:
        while (file := self._next()) is not None and not self._stop.is_set():
            name = str(file.relative_to(self._source))
            try:
                self.sums[name] = self._copy(file, self._target / name)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    self._stop.set()
                    raise
                self.failures.append(f"{name}: {error.strerror or error}")

    def _next(self) -> Path | None:
        with self._lock:
            return next((file for file, _ in self._files), None)

    def _tell(self, count: int) -> None:
        with self._lock:
            self._advance(count)

    def _copy(self, file: Path, target: Path) -> str:
        """Copy a file unless it was copied before; return its SHA-256."""
        size = file.lstat().st_size
        if target.is_file() and target.stat().st_size == size:
            self._tell(size)
            return sha256(target)
        unfinished = self._scratch / str(threading.get_ident())
        found = self._write(file, unfinished)
        if sha256(unfinished) != found:
            message = f"the copy of {file} differs from it"
            raise OSError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.replace(target)
        return found

    def _write(self, file: Path, unfinished: Path) -> str:
        digest = hashlib.sha256()
        with file.open("rb") as source, unfinished.open("wb") as copy:
            while piece := source.read(_PIECE_BYTES):
                if self._stop.is_set():
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
                digest.update(piece)
                copy.write(piece)
                self._tell(len(piece))
        return digest.hexdigest()
