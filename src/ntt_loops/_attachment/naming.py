"""What a medium is called."""

from __future__ import annotations

import os
import re

from ntt_loops.errors import MediumError

Text = str | os.PathLike[str]

#: A hash: 32 hex digits or more, or at least 16 with a letter among them - a plain number, a date say, is none.
_LONG_HASH = re.compile(r"[0-9a-fA-F]{32,}")
_SHORT_HASH = re.compile(r"(?=[0-9]*[a-fA-F])[0-9a-fA-F]{16,}")


def image_path(image: Text) -> str:
    """Return an image's path; TypeError for anything but a str or a path of one."""
    path = os.fspath(image)
    if not isinstance(path, str):
        message = f"an image is a str or a path, not {image!r}"
        raise TypeError(message)
    return path


def checked_path(path: Text) -> str:
    """Return the path of a file or a folder; ValueError for an empty one, which would be the current folder."""
    text = os.fspath(path)
    if not text:
        message = "an empty path names no folder and no file; '.' is the current folder"
        raise ValueError(message)
    return text


def medium_of(image: str) -> str:
    """Return the id of the medium an image was made from: the name as given, without its last suffix.

    Where that leaves nothing that can be an id (``..img``), the whole name is the id.
    """
    name = os.path.basename(image)
    head, dot, suffix = name.rpartition(".")
    return head if dot and suffix and head not in ("", ".", "..") else name


def check_medium(medium: str) -> str:
    """Return an id that was given explicitly; MediumError where it cannot be one."""
    if not isinstance(medium, str):
        message = f"a medium's id is a str, not {medium!r}"
        raise TypeError(message)
    if medium in ("", ".", "..") or "/" in medium or "\0" in medium:
        message = f"{medium!r} cannot be a medium's id: it may not be empty, '.', '..', or hold '/' or NUL"
        raise MediumError(message, medium=medium)
    try:
        os.fsencode(medium)
    except UnicodeEncodeError as error:
        message = f"{medium!r} cannot be a medium's id: it cannot be written as a file name"
        raise MediumError(message, medium=medium) from error
    return medium


def is_hash(medium: str) -> bool:
    """Whether an id is a hash: only then a device is found by the name of its backing file alone."""
    return bool(_LONG_HASH.fullmatch(medium) or _SHORT_HASH.fullmatch(medium))


def is_named_for(name: bytes, medium: str) -> bool:
    """Whether a file is named exactly ``<id>`` or ``<id>.<suffix without a dot>``."""
    head, _, suffix = name.partition(b".")
    return head == os.fsencode(medium) and b"." not in suffix
