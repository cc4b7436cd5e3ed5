"""Unmounting a medium: all its mounts, all its devices, its folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ntt_loops._backoff import Deadline
from ntt_loops._ledger import mount_lock
from ntt_loops._medium import Medium, ReleaseReport, release_medium
from ntt_loops._mounted_medium.folders import Folders

if TYPE_CHECKING:
    import os

    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger


def unmount_medium(
    kernel: Kernel, ledger: Ledger, medium: str, root: str | os.PathLike[str], timeout: float
) -> ReleaseReport:
    """Unmount and release. See ``Loops.unmount_medium`` for what it raises."""
    deadline = Deadline.after(timeout)
    folders = Folders(root, medium)
    with mount_lock(ledger, medium, deadline):
        try:
            report = release_medium(kernel, ledger, Medium(medium), deadline, unmount=True)
        finally:
            problem = folders.tidy()
    return attrs.evolve(report, problems=(*report.problems, problem)) if problem else report
