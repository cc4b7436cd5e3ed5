"""/proc/PID/mountinfo: what is mounted, in every mount namespace that some process lives in (F25)."""

from __future__ import annotations

import errno
import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ntt_loops._kernel import processes
from ntt_loops._kernel.values import Mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
#: File systems that answer without another machine or process. On any other one a call may never return (F21).
LOCAL_FSTYPES = frozenset(
    (
        *(
            "bcachefs",
            "btrfs",
            "devtmpfs",
            "erofs",
            "exfat",
            "ext2",
            "ext3",
            "ext4",
            "f2fs",
            "hfs",
            "hfsplus",
            "iso9660",
        ),
        *("jfs", "msdos", "nilfs2", "ntfs3", "overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "udf"),
        *("vfat", "xfs", "zfs"),
    )
)
#: How those begin that are served by another machine or process.
REMOTE_FSTYPES = (
    *("9p", "afs", "ceph", "cifs", "fuse.", "fuseblk", "gfs2", "gluster", "lustre", "nfs", "ocfs2", "orangefs"),
    "smb",
)
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Line(NamedTuple):
    """One line of mountinfo."""

    rdev: int
    mount_point: bytes
    fstype: str
    source: bytes
    mount_id: int


def read(pid: int | str) -> list[Line]:
    """Return the mounts of a process's namespace, in the order they were made; none where the process is gone."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as table:
            return list(_lines(table.read()))
    except OSError as error:
        if processes.is_hidden(error) or error.errno == errno.EINVAL:  # EINVAL: the process is just ending
            return []
        raise


@functools.lru_cache(maxsize=4)
def _lines(text: bytes) -> tuple[Line, ...]:
    """Read a whole table; a sweep asks for each medium, and it is nearly always the very same."""
    return tuple(parse(line) for line in text.split(b"\n") if line)


def parse(line: bytes) -> Line:
    """Read one line: ``36 35 98:0 /mnt1 /mnt2 rw master:1 - ext3 /dev/root rw``."""
    fields = line.rstrip(b"\n").split(b" ")
    major, minor = fields[2].split(b":")
    behind = fields.index(b"-", 6)
    return Line(
        os.makedev(int(major), int(minor)),
        unescape(fields[4]),
        fields[behind + 1].decode("ascii", "replace"),
        unescape(fields[behind + 2]),
        int(fields[0]),
    )


def unescape(field: bytes) -> bytes:
    """Undo the kernel's octal escapes for blank, tab, newline, backslash and #."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), field) if b"\\" in field else field


def block_mounts() -> list[Mount]:
    """Return the mounts that stand on a block device, those of a namespace once."""
    ours = processes.namespace("self", "mnt")
    return [mount for space, pid in _namespaces(ours).items() for mount in _mounts_of(pid, is_ours=space == ours)]


def our_block_mounts() -> list[Mount]:
    """Return those of this process's namespace."""
    return _mounts_of(os.getpid(), is_ours=True)


def _mounts_of(pid: int, *, is_ours: bool) -> list[Mount]:
    command = processes.command(pid)
    lines = read(pid)
    last = {line.mount_point: line for line in lines}
    return [
        Mount(
            rdev, line.mount_point, line.fstype, line.source, pid, command, is_ours, last[line.mount_point] is not line
        )
        for line in lines
        if (rdev := _block_rdev(line)) is not None
    ]


def _namespaces(ours: int | None) -> dict[int, int]:
    """Return one process for each mount namespace, this one's first."""
    found = {} if ours is None else {ours: os.getpid()}
    for pid in processes.pids():
        space = processes.namespace(pid, "mnt")
        if space is not None:
            found.setdefault(space, pid)
    return found


def _block_rdev(line: Line) -> int | None:
    """Return the device a mount stands on.

    btrfs and its like show an anonymous device (major 0); there the source says which one. It is asked only below
    /dev, where a stat cannot hang.
    """
    if os.major(line.rdev) != 0:
        return line.rdev
    if not line.source.startswith(b"/dev/"):
        return None
    return processes.block_rdev(line.source)


def is_remote_elsewhere() -> bool:
    """Whether another mount namespace has remote storage.

    A path that sysfs shows of an image there may look like any path here, so that no path tells what it lies on (F49).
    A copy of one of our mounts, as each service with a private /tmp has them, is at the path that it has here.
    """
    ours = processes.namespace("self", "mnt")
    others = (pid for space, pid in _namespaces(ours).items() if space != ours)
    remote = [line for pid in others for line in read(pid) if _is_remote(line)]
    if not remote:
        return False
    own = read("self")
    return not all(_is_copy(line, own) for line in remote)


def _is_remote(line: Line) -> bool:
    return line.fstype == "fuse" or line.fstype.startswith(REMOTE_FSTYPES)


def _is_copy(line: Line, own: list[Line]) -> bool:
    """Whether a mount is one of our own, at the same place, with nothing local over it or below it."""
    place = line.mount_point.rstrip(b"/") + b"/"
    covering = [one for one in own if (one.mount_point.rstrip(b"/") + b"/").startswith(place)]
    is_ours = any((one.rdev, one.mount_point) == (line.rdev, line.mount_point) for one in covering)
    return is_ours and all(map(_is_remote, covering))


class OpenFileMounts:
    """Answers ``may_hang`` for what processes have open, by the mount's id, which fdinfo tells (F62).

    The path would not do: where the process has another root, or the mount is nobody's any more, it leads elsewhere.
    """

    def __init__(self) -> None:
        self._fstypes: dict[int, str | None] = {}
        self._has_all = False
        self._read([os.getpid()])

    def may_hang(self, pid: int, mount_id: int) -> bool | None:
        """Tell whether a mount is of storage that may never answer; None where no process has it in its table."""
        if mount_id not in self._fstypes:
            self._read([pid])
        if mount_id not in self._fstypes and not self._has_all:
            self._has_all = True
            self._read(_namespaces(None).values())
        fstype = self._fstypes.setdefault(mount_id, None)
        return None if fstype is None else fstype not in LOCAL_FSTYPES

    def _read(self, pids: Iterable[int]) -> None:
        self._fstypes.update((line.mount_id, line.fstype) for pid in pids for line in read(pid))


def by_point(lines: Iterable[Line]) -> dict[bytes, Line]:
    """Return the mounts by their points without a slash at the end; of two on one point the later."""
    return {line.mount_point.rstrip(b"/"): line for line in lines}


def devices_by_point(pid: int) -> dict[bytes, int | None]:
    """Return what block device each mount of a process's namespace stands on, by points as above."""
    return {point: _block_rdev(line) for point, line in by_point(read(pid)).items()}


def may_hang(path: bytes, points: Mapping[bytes, Line]) -> bool:
    """Tell whether an absolute path lies on storage that may never answer (F21); touches nothing."""
    found = mount_of(path, points)
    return found is None or found.fstype not in LOCAL_FSTYPES


def mount_of(path: bytes, points: Mapping[bytes, T]) -> T | None:
    """Return what is known of the mount that a path lies on: the longest of its beginnings that is a mount point.

    None for a path that is not absolute, and where not even the root is to be seen. Touches nothing.
    """
    if not path.startswith(b"/"):
        return None
    point = path.rstrip(b"/")
    while point and point not in points:
        point = point.rpartition(b"/")[0].rstrip(b"/")
    return points.get(point)
