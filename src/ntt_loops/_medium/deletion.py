"""Is an image deleted? What sysfs says of it is a hint, not an answer (F28)."""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel.values import DELETED_SUFFIX

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel


class Deletion(enum.Enum):
    """What is known of an image's directory entry."""

    LIVING = "living"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@attrs.frozen
class Judged:
    """Whether an image is deleted, and the path that it has, or had."""

    deletion: Deletion
    path: bytes


def judge(kernel: Kernel, backing_file: bytes, inode: tuple[int, int] | None, within: float | None) -> Judged:
    """Tell whether the image of a device is deleted.

    Sysfs must say so, and its path must be missing or lead to another file: a file may be *named* "x (deleted)", and
    one may have come back to its old path as a hard link. Anything that can't be told is unknown.
    """
    stripped = backing_file.removesuffix(DELETED_SUFFIX)
    if not backing_file or (inode is None and stripped != backing_file):
        return Judged(Deletion.UNKNOWN, stripped)
    if stripped == backing_file:
        return Judged(Deletion.LIVING, backing_file)
    for name in (backing_file, stripped):
        try:
            found = kernel.file_id(name, within=within)
        except OSError as error:  # StuckError too
            if error.errno == errno.ENOENT or (error.errno == errno.ENAMETOOLONG and name is backing_file):
                continue  # no file can have a name that the kernel's note makes too long
            return Judged(Deletion.UNKNOWN, stripped)
        if found == inode:
            return Judged(Deletion.LIVING, name)
    return Judged(Deletion.DELETED, stripped)
