"""Which processes work on a file system: the answer to "target is busy".

Nothing of theirs is asked for its status, which might hang (F21): a path and the mounts of the process tell what it
lies on.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import mountinfo, processes
from ntt_loops._kernel.values import Opener

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINKS = ("cwd", "root", "exe")


def of_file_systems(rdevs: frozenset[int]) -> list[Opener]:
    """Return the processes with a folder, a program or an open file on file systems of these devices, one path each.

    A file that is only mapped is not found: to ask for it may wait for ever on a process that hangs.
    """
    # The paths of our own namespace are told from our root, which another process of it need not have.
    spaces = {processes.namespace("self", "mnt"): mountinfo.devices_by_point(os.getpid())}
    found = []
    for pid in processes.pids():
        space = processes.namespace(pid, "mnt")
        if space not in spaces:
            spaces[space] = mountinfo.devices_by_point(pid)
        mounts = spaces[space]
        if rdevs.isdisjoint(mounts.values()):
            continue
        used = ((path, mountinfo.mount_of(path, mounts)) for path in _paths(pid))
        first = next(((path, rdev) for path, rdev in used if rdev in rdevs), None)
        if first is not None and first[1] is not None:
            found.append(Opener(pid, processes.command(pid), first[0], first[1]))
    return found


def _paths(pid: int) -> Iterator[bytes]:
    for link in _LINKS:
        try:
            yield os.readlink(f"/proc/{pid}/{link}".encode())
        except OSError as error:
            if not processes.is_hidden(error) and error.errno != errno.ENAMETOOLONG:
                raise
    for _, path in processes.open_files(pid):
        yield path
