"""Is an image deleted? What sysfs says of it is a hint, not an answer (F28)."""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import DELETED_SUFFIX

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel


class Deletion(enum.Enum):
    """What is known of an image's directory entry."""

    LIVING = "living"
    DELETED = "deleted"
    UNKNOWN = "unknown"


def judge(kernel: Kernel, backing_file: bytes, inode: tuple[int, int] | None, within: float | None) -> Deletion:
    """Tell whether the image of a device is deleted.

    Sysfs must say so, and its path must be missing or lead to another file: a file may be *named* "x (deleted)", and
    one may have come back to its old path as a hard link. Anything that can't be told is unknown.
    """
    if not backing_file:
        return Deletion.UNKNOWN
    if not backing_file.endswith(DELETED_SUFFIX):
        return Deletion.LIVING
    if inode is None:
        return Deletion.UNKNOWN
    for name in (backing_file, backing_file.removesuffix(DELETED_SUFFIX)):
        try:
            found = kernel.file_id(name, within=within)
        except OSError as error:  # StuckError too
            if error.errno == errno.ENOENT:
                continue
            return Deletion.UNKNOWN
        if found == inode:
            return Deletion.LIVING
    return Deletion.DELETED
