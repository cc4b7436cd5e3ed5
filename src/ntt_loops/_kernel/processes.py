"""/proc: which processes there are, and what they have open."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import Opener, Process, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

#: How /proc says that the process went while it was read.
_GONE = (errno.ENOENT, errno.ESRCH)
#: Fields of /proc/PID/stat behind the command's closing parenthesis.
_STATE, _THREADS, _START_TICKS = 0, 17, 19
_STAT_BYTES = 4096
_MOUNT_ID = re.compile(rb"^mnt_id:\t(\d+)$", re.MULTILINE)


def is_gone(error: OSError) -> bool:
    """Whether the error means that the process ended."""
    return error.errno in _GONE


def is_hidden(error: OSError) -> bool:
    """Whether the error means that the process ended, or that this one may not look into it."""
    return is_gone(error) or error.errno in (errno.EACCES, errno.EPERM)


def block_rdev(path: str | bytes) -> int | None:
    """Return the number of the block device at a path; None where there is none.

    Character devices are told apart: /dev/vcs has the numbers of /dev/loop0.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        if is_hidden(error) or error.errno in (errno.ENOTDIR, errno.ENXIO):
            return None
        raise
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def pids() -> Iterator[int]:
    """Yield the processes of this pid namespace."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def current() -> Process:
    """Return this process."""
    fields = _stat("self")
    space = namespace("self", "pid")
    if fields is None or space is None:
        message = "/proc is not mounted: a process cannot be told from a later one with its pid"
        raise OSError(errno.ENOSYS, message)
    return Process(os.getpid(), int(fields[_START_TICKS]), space)


def is_alive(process: Process) -> bool | None:
    """Whether that process lives, judged by its start time too; None where it is of another pid namespace."""
    if process.pid_namespace != namespace("self", "pid"):
        return None
    fields = _stat(process.pid)
    if fields is None or int(fields[_START_TICKS]) != process.start_ticks:
        return False
    # A zombie has closed its descriptors, unless only its first thread ended.
    return fields[_STATE] not in (b"Z", b"X") or int(fields[_THREADS]) > 1


def _stat(pid: int | str) -> list[bytes] | None:
    text = _read(f"/proc/{pid}/stat")
    return text.rpartition(b")")[2].split() if text else None


def command(pid: int) -> str:
    """Return the command name, at most 15 bytes; empty where the process is gone.

    Not its arguments: reading them may wait for ever on a process that hangs.
    """
    return os.fsdecode((_read(f"/proc/{pid}/comm") or b"").removesuffix(b"\n"))


def _read(path: str) -> bytes | None:
    try:
        with io.FileIO(path) as file:
            return file.read(_STAT_BYTES)
    except OSError as error:
        if is_gone(error):
            return None
        raise


#: The bit of CAP_SYS_ADMIN.
_SYS_ADMIN = 1 << 21


def surroundings() -> Surroundings:
    """Return what this process may, and whether the loop module is there."""
    return Surroundings(
        has_module=os.path.exists("/sys/module/loop"),
        has_sys_admin=bool(effective_capabilities() & _SYS_ADMIN),
        has_seccomp_filter=_own_status().get(b"Seccomp", b"").strip() == b"2",
    )


def effective_capabilities() -> int:
    """Return the bits of this process's effective capabilities."""
    return int(_own_status().get(b"CapEff", b"0").strip() or b"0", 16)


def _own_status() -> dict[bytes, bytes]:
    return dict(line.split(b":", 1) for line in (_read("/proc/self/status") or b"").splitlines() if b":" in line)


def namespace(pid: int | str, kind: str) -> int | None:
    """Return the id of a process's namespace; None where it is gone or may not be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError as error:
        if is_hidden(error):
            return None
        raise


def openers(
    pids: Iterable[int],
    rdevs: frozenset[int],
    names: Collection[bytes],
    may_hang: Callable[[int, int], bool | None],
) -> list[Opener]:
    """Return which of these processes have one of these block devices open, each path once.

    ``may_hang`` tells of a process and the id of a mount whether that is of storage that may not answer: no file there
    is asked (F21). Where it cannot tell, only one is that is named as such a device is, in ``names``.
    """
    found = []
    for pid in pids:
        found_here = set()
        for number, path in open_files(pid):
            mount_id = _mount_id(pid, number)
            hangs = True if mount_id is None else may_hang(pid, mount_id)
            if hangs is False or (hangs is None and path.rpartition(b"/")[2] in names):
                found_here.add((path, block_rdev(f"/proc/{pid}/fd/{number}")))
        matches = sorted((path, rdev) for path, rdev in found_here if rdev is not None and rdev in rdevs)
        found += [Opener(pid, command(pid), path, rdev) for path, rdev in matches]
    return found


def _mount_id(pid: int, number: str) -> int | None:
    """Return the id of the mount that an open file lies on, with nothing asked of that (F62); None where it is gone."""
    try:
        text = _read(f"/proc/{pid}/fdinfo/{number}")
    except OSError as error:
        if is_hidden(error):
            return None
        raise
    found = _MOUNT_ID.search(text or b"")
    return None if found is None else int(found[1])


def open_files(pid: int) -> Iterator[tuple[str, bytes]]:
    """Yield number and target of a process's descriptors that have a path."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError as error:
        if is_hidden(error):
            return
        raise
    for number in numbers:
        try:
            path = os.readlink(f"{folder}/{number}".encode())
        except OSError as error:
            if not is_hidden(error) and error.errno != errno.ENAMETOOLONG:  # no node has so long a path
                raise
        else:
            if path.startswith(b"/"):
                yield number, path
