"""The two ways to mount a medium: until it is unmounted, or for the length of a ``with`` block."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ntt_loops._mounted_medium.work import MediumMount, Request
from ntt_loops._mounting import Leaving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._mounted_medium.values import MountedMedium


def mount_medium(kernel: Kernel, ledger: Ledger, request: Request) -> MountedMedium:
    """Mount a medium. See ``Loops.mount_medium`` for what it raises."""
    return MediumMount(kernel, ledger, request).mount()


@contextlib.contextmanager
def mounted_medium(kernel: Kernel, ledger: Ledger, request: Request) -> Iterator[MountedMedium]:
    """Mount a medium, and unmount it if it was not mounted before."""
    work = MediumMount(kernel, ledger, request)
    leaving = Leaving(work.unmount)
    try:
        yield work.mount()
        leaving.now()
    except BaseException as error:
        leaving.after(error)
        raise
