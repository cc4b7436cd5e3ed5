"""Nodes of our own where /dev lacks them, as in containers without devtmpfs (F33).

They are below /dev, since /run is mounted ``nodev`` on many systems: a node there opens for nobody. One that is only
opened is removed at once. One that programs are given by its path stays as long as its attachment, whose diskseq it has
as its time of change, so that one of an earlier attachment of the number is known::

    /dev/ntt-loops/                 0700, gone when it is empty
    /dev/ntt-loops/loop7            of a device
    /dev/ntt-loops/loop7p1          of a partition
    /dev/ntt-loops/.4711-1f2e3d4c   just being made or used; 4711 is the process
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING, Final

from ntt_loops._kernel import processes, sysfs
from ntt_loops._kernel.protocol import NoNodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "/dev/ntt-loops"
_NODE = re.compile(r"(loop\d+)(p\d+)?", re.ASCII)
#: A hidden node is used for some milliseconds; one this old is of a process that was killed.
_OLD_SECONDS = 60.0
#: It is not empty, not there, not to be removed by this user, or no folder.
_FOLDER_STAYS = (
    *(errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOENT, errno.ENOTDIR),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
)
#: Whoever removes the last node removes the folder, perhaps just when another one is to be made in it.
_TRIES = 10


def usable(usual: str, name: str) -> str:
    """Return the usual path of "loop7" or "loop7p1", or that of a node made now where it is not there.

    That of a partition is compared: its number is handed out again, so that a node may be of another one by now.
    """
    if os.path.exists(usual) and not _is_partition(name):
        return usual
    rdev = sysfs.rdev(_place(name))
    if rdev is None or processes.block_rdev(usual) == rdev:
        return usual
    path = f"{FOLDER}/{name}"
    if _is_stale(path, name):
        with _made(usual, rdev) as new:
            os.utime(new, (_stamp(name), _stamp(name)))
            os.rename(new, path)
    return path


@contextlib.contextmanager
def borrowed(usual: str, name: str) -> Iterator[str]:
    """Give a node of "loop7" to open, and remove it again; NoNodeError where there cannot be one."""
    rdev = sysfs.rdev(_place(name))
    if rdev is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), usual)
    with _made(usual, rdev) as path:
        yield path


def remove_stale() -> None:
    """Remove the nodes of attachments that ended, whoever has their numbers by now."""
    if not os.access(FOLDER, os.F_OK):  # as on nearly every machine, at each attach and exit
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        for name in os.listdir(FOLDER):
            if _is_stale(f"{FOLDER}/{name}", name):
                _remove(name)
        _remove_folder()


def _remove(name: str) -> None:
    """Take a node aside and look again: somebody may just have made a new one of that name."""
    path, aside = f"{FOLDER}/{name}", _hidden()
    try:
        os.rename(path, aside)
        if not _is_stale(aside, name):
            os.rename(aside, path)
    except FileNotFoundError:  # another process was faster
        return
    finally:
        _unlink(aside)


def _is_stale(path: str, name: str) -> bool:
    """Whether there is no node, or one of an earlier attachment or partition; a hidden one gets a minute."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return True
    if _NODE.fullmatch(name) is None:
        return time.time() - found.st_ctime > _OLD_SECONDS
    is_bound = sysfs.is_bound(_number(name))
    return not is_bound or found.st_rdev != sysfs.rdev(_place(name)) or int(found.st_mtime) != _stamp(name)


def _stamp(name: str) -> int:
    """Return the attachment's diskseq, which its nodes have as their time; 0 before Linux 5.15 (F8)."""
    return sysfs.diskseq(_number(name)) or 0


def _number(name: str) -> int:
    return int(name.removeprefix("loop").partition("p")[0])


def _hidden() -> str:
    return f"{FOLDER}/.{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def _made(usual: str, rdev: int) -> Iterator[str]:
    """Make a node under a name of its own; at the end it is not there."""
    path = _hidden()
    try:
        _mknod(usual, path, rdev)
        yield path
    finally:
        _unlink(path)
        _remove_folder()


def _mknod(usual: str, path: str, rdev: int) -> None:
    for _ in range(_TRIES):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700)
            _check(usual)
            os.mknod(path, stat.S_IFBLK | 0o600, rdev)
        except NoNodeError:
            raise
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _no_node(usual, error.strerror or str(error), error.errno) from error
        return
    raise _no_node(usual, "the folder is removed all the time", errno.ENOENT)


def _check(usual: str) -> None:
    """See that the folder is this user's own, and that nodes work there."""
    found = os.lstat(FOLDER)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise _no_node(usual, "it is not a folder of this user, writable by nobody else", errno.EPERM)
    if os.statvfs(FOLDER).f_flag & os.ST_NODEV:
        raise _no_node(usual, "/dev is mounted nodev, so that no node works there", errno.EACCES)


def _no_node(usual: str, reason: str, number: int | None) -> NoNodeError:
    """Return what is said where no node can be had; its errno is ENOENT, as of any missing node."""
    text = f"there is no {usual}, and a private node in {FOLDER} could not be made: {reason}"
    return NoNodeError(errno.ENOENT, f"{text} ({errno.errorcode.get(number or 0, number)})")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # then none was made
        os.unlink(path)


def _remove_folder() -> None:
    try:
        os.rmdir(FOLDER)
    except OSError as error:
        if error.errno not in _FOLDER_STAYS:
            raise


def _is_partition(name: str) -> bool:
    return "p" in name.removeprefix("loop")


def _place(name: str) -> str:
    """Return where sysfs has it below /sys/block: loop7, or loop7/loop7p1."""
    match = _NODE.fullmatch(name)
    return name if match is None or match[2] is None else f"{match[1]}/{name}"
