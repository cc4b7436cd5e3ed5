"""The files of a file system that is mounted in memory: real ones, on the mount point as long as it is mounted."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def checked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a copy; ValueError for names that cannot be in one file system, TypeError for what is not bytes."""
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            message = f"{name!r} is no file's name below the root of a file system: it is relative, and without '..'"
            raise ValueError(message)
        if not isinstance(content, bytes):
            message = f"what is in {name!r} must be bytes, not {type(content).__name__}"
            raise TypeError(message)
    paths = {str(PurePosixPath(name)): content for name, content in files.items()}
    folders = {str(folder) for name in paths for folder in PurePosixPath(name).parents}
    if both := sorted(folders & paths.keys()):
        message = f"{both[0]!r} cannot be a file and a folder"
        raise ValueError(message)
    return paths


def put(folder: bytes, files: Mapping[str, bytes]) -> None:
    """Write the files; ENOTEMPTY where something lies there: a real mount would hide it, this one would spoil it."""
    if not files:
        return
    if os.listdir(folder):
        message = f"{os.fsdecode(folder)} is not empty: a mount in memory that holds files hides nothing"
        raise OSError(errno.ENOTEMPTY, message)
    written: list[str] = []
    try:
        for name, content in files.items():
            path = os.path.join(folder, os.fsencode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                written.append(name)
                file.write(content)
    except BaseException:
        take_away(folder, written)
        raise


def take_away(folder: bytes, files: Iterable[str]) -> None:
    """Remove these files, and their folders where they are empty then; what is gone already is gone."""
    paths = [os.path.join(folder, os.fsencode(name)) for name in files]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    for path in paths:
        while (path := os.path.dirname(path)) not in (folder, b""):
            with contextlib.suppress(OSError):
                os.rmdir(path)
