"""Is an image deleted? What sysfs says of it is a hint, not an answer (F28)."""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import DELETED_SUFFIX

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from ntt_loops._medium.survey import Seen


class Deletion(enum.Enum):
    """What is known of an image's directory entry."""

    LIVING = "living"
    DELETED = "deleted"
    UNKNOWN = "unknown"


def deletion_of(kernel: Kernel, seen: Seen, within: float) -> Deletion:
    """Tell whether the image of a device is deleted.

    Sysfs must say so, and its path must be missing or lead to another file: a file may be *named* "x (deleted)", and
    one may have come back to its old path as a hard link. Anything that can't be told is unknown.
    """
    path = seen.bound.backing_file
    if not path:
        return Deletion.UNKNOWN
    if not path.endswith(DELETED_SUFFIX):
        return Deletion.LIVING
    if seen.inode is None:
        return Deletion.UNKNOWN
    for name in (path, seen.path):
        try:
            found = kernel.file_id(name, within=within if seen.hangs else None)
        except OSError as error:  # StuckError too
            if error.errno == errno.ENOENT:
                continue
            return Deletion.UNKNOWN
        if found == seen.inode:
            return Deletion.LIVING
    return Deletion.DELETED
