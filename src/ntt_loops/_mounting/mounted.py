"""A mount for the length of a ``with`` block."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._mounting.leaving import Leaving
from ntt_loops._mounting.mount import mount
from ntt_loops._mounting.place import Place
from ntt_loops._unmounting import unmount_point

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from ntt_loops._mounting.source import Source


@contextlib.contextmanager
def mounted(
    source: Source, at: str | os.PathLike[str] | None, *, fstype: str | None, timeout: float, diskseq: int | None
) -> Iterator[Path]:
    """Mount, yield the mount point, unmount. See ``Loops.mounted`` for what it raises."""
    work = _Mounted(source, Place(source.kernel, at), timeout)
    leaving = Leaving(work.leave)
    try:
        work.enter(fstype, diskseq)
        yield Path(str(work.place))
        leaving.now()
    except BaseException as error:
        leaving.after(error)
        raise


class _Mounted:
    """One mount, and what undoes as much of it as there is."""

    def __init__(self, source: Source, place: Place, timeout: float) -> None:
        self.place = place
        self._source = source
        self._timeout = timeout
        self._rdev: int | None = None

    @kernel_errors()
    def enter(self, fstype: str | None, diskseq: int | None) -> None:
        """Mount."""
        deadline = Deadline.after(self._timeout)
        with self._source.held(diskseq):
            found = self._source.probe(deadline.remaining).type if fstype is None else fstype
            self.place.make()
            self._rdev = self._source.rdev
            mount(self._source, self.place.path, found, deadline)

    @kernel_errors()
    def leave(self) -> None:
        """Unmount and remove the folder; a mount that stays keeps it."""
        if self._rdev is not None:
            deadline = Deadline.after(self._timeout)
            unmount_point(self._source.kernel, self._source.number, self._rdev, self.place.path, deadline)
        self.place.remove()
