"""Files that are whole or not there, and locks that go with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, mode: Literal["rb", "ab"]) -> Iterator[IO[bytes]]:
    """Open a file and lock it; the lock goes with this process, however that ends.

    Raises:
        BlockingIOError: Another process has it.
    """
    with path.open(mode) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process is at work on {path}"
            raise BlockingIOError(message) from None
        yield file


def put_in_place(file: IO[bytes], unfinished: Path, finished: Path) -> None:
    """Give a file that was written its final name, once it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    unfinished.replace(finished)
    folder = os.open(finished.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever is killed meanwhile leaves the old one or the new one."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        put_in_place(file, unfinished, path)
