"""Mount options that keep evidence as it is: nothing is replayed, nothing of it is run or believed.

"Read-only" alone does not keep a journal from being replayed (F7); which option does is the file system's own. So the
options always go with the name of a file system, and mount(8) is never left to guess one that has a journal.
"""

from __future__ import annotations

import re

_ALWAYS = "ro,nosuid,nodev,noatime"
_NO_REPLAY = {
    "btrfs": "rescue=nologreplay",
    "ext3": "noload",
    "ext4": "noload",
    "ext4dev": "noload",
    "f2fs": "norecovery",
    "nilfs2": "norecovery",
    # An image's copy has the same UUID, and XFS refuses the second one of two.
    "xfs": "norecovery,nouuid",
}
#: What has no journal to replay: the last resort, where blkid(8) does not know or was wrong.
UNJOURNALED = "iso9660,udf,vfat,exfat,hfs,minix,sysv,v7,romfs,cramfs,squashfs,erofs,affs,adfs,qnx4,bfs"
#: Discs often hold both, and the one that blkid(8) names may be the broken one.
_IN_PLACE_OF = {"iso9660": ("iso9660", "udf"), "udf": ("udf", "iso9660")}
_NAME = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


def options_for(fstype: str) -> str:
    """Return the options for a file system."""
    return ",".join(filter(None, (_ALWAYS, _NO_REPLAY.get(fstype))))


def attempts(fstype: str) -> tuple[str, ...]:
    """Return what to try for what blkid(8) said, in that order; "" where it said nothing."""
    if not fstype:
        return (UNJOURNALED,)
    if fstype in _IN_PLACE_OF:
        return (*_IN_PLACE_OF[fstype], UNJOURNALED)
    return (fstype,)


def checked_fstype(fstype: str | None) -> str | None:
    """Return a file system's name as given; ValueError for a list, or "auto", which would be a guess."""
    if fstype is not None and (not _NAME.fullmatch(fstype) or fstype == "auto"):
        message = f"fstype is the name of one file system, such as 'ext4', or None for what blkid finds, not {fstype!r}"
        raise ValueError(message)
    return fstype
