"""Other processes of this machine: they open any device for a moment, and copy any mount into their namespaces.

What a test says of a device's users is about its own ones, so those of others are left out of what the library sees.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._kernel.linux import LinuxKernel

if TYPE_CHECKING:
    import pytest

    from ntt_loops._kernel import Mount, Opener


def is_stranger(pid: int, family: int) -> bool:
    """Whether a process is neither that one nor one that it started, by whomever in between."""
    while pid > 1:
        if pid == family:
            return False
        pid = _parent(pid)
    return True


def _parent(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0
    return int(status.rpartition(") ")[2].split()[1])


def leave_out(patch: pytest.MonkeyPatch) -> None:
    """Let the real kernel report those openers and mounts only that are of this process and of those it starts."""
    family, openers, mounts = os.getpid(), LinuxKernel.openers, LinuxKernel.mounts

    def own_openers(self: LinuxKernel, rdevs: frozenset[int], *, pid: int | None = None) -> list[Opener]:
        return [one for one in openers(self, rdevs, pid=pid) if not is_stranger(one.pid, family)]

    def own_mounts(self: LinuxKernel, *, only_ours: bool = False) -> list[Mount]:
        found = mounts(self, only_ours=only_ours)
        return [one for one in found if one.is_ours or not is_stranger(one.pid, family)]

    patch.setattr(LinuxKernel, "openers", own_openers)
    patch.setattr(LinuxKernel, "mounts", own_mounts)
