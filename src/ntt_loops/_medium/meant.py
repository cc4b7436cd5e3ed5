"""What is released: a medium by its id, or a file by its path; and the folders that a sweep is told."""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING

from ntt_loops._attachment import check_medium, checked_path, image_path, medium_of
from ntt_loops._kernel import StuckError
from ntt_loops._medium.candidates import Medium
from ntt_loops._medium.questions import within
from ntt_loops.errors import MediumError

if TYPE_CHECKING:
    from ntt_loops._attachment import Text
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel

#: There is no file, and cannot be one; any other error leaves that open.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
#: As many symlinks as the kernel follows.
_MOST_LINKS = 40


def medium_meant(kernel: Kernel, medium_or_image: Text, deadline: Deadline) -> Medium:
    """Tell an id from a path: a path is an os.PathLike, or a str with a slash."""
    path = image_path(medium_or_image)
    if isinstance(medium_or_image, str) and "/" not in path:
        return Medium(check_medium(path))
    name = check_medium(medium_of(path))
    _check_is_path(path)
    paths = real_paths(kernel, path, deadline)
    try:
        return Medium(name, paths, _inode(kernel, path, deadline))
    except StuckError as error:
        again = functools.partial(medium_meant, kernel, medium_or_image, deadline)
        return Medium(name, paths, unreachable=error, ask_again=again)
    except OSError as error:  # unreachable, which is not missing
        return Medium(name, paths, unreachable=error)


def _check_is_path(path: str) -> None:
    try:
        is_one = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_one = False
    if not is_one:
        message = f"{path!r} cannot be a path: no file name holds that"
        raise MediumError(message)


def _inode(kernel: Kernel, path: str, deadline: Deadline) -> tuple[int, int] | None:
    """Return (dev, inode) of the file at a path; None where there is none, OSError where that cannot be told."""
    name = os.path.abspath(os.fsencode(path))
    try:
        return kernel.file_id(name, within=_within(kernel, name, deadline))
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return None  # then its devices are known by the path that sysfs shows


def real_paths(kernel: Kernel, path: Text, deadline: Deadline) -> frozenset[bytes]:
    """Return a path, absolute, as it is and with symlinks followed: the kernel shows the latter."""
    name = os.path.abspath(os.fsencode(checked_path(path)))
    try:
        return frozenset((name, kernel.real_path(name, within=_within(kernel, name, deadline))))
    except OSError:
        return frozenset((name,))


def _within(kernel: Kernel, path: bytes, deadline: Deadline) -> float | None:
    return within(deadline) if _leads_to_what_hangs(kernel, path) else None


def _leads_to_what_hangs(kernel: Kernel, path: bytes) -> bool:
    """Whether a path, or a symlink on its way, leads to storage that may hang; each part is judged, then touched."""
    done, parts, links = b"/", path.split(b"/"), 0
    while parts:
        here = os.path.normpath(os.path.join(done, parts.pop(0)))
        if kernel.may_hang([here])[0]:
            return True
        try:
            target = os.readlink(here)
        except OSError:  # no symlink, or nothing there
            done = here
            continue
        links += 1
        if links > _MOST_LINKS:
            return False
        parts = [*target.split(b"/"), *parts]
        done = b"/" if target.startswith(b"/") else done
    return False
