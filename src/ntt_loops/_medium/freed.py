"""How many bytes a release gives back: those of a deleted image, at its last device (F22)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops._medium.reports import ReleasedDevice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ntt_loops._kernel import Kernel
    from ntt_loops._medium.candidates import Candidate
    from ntt_loops._medium.survey import Seen


class Freed:
    """Adds up what was released."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._released: list[tuple[Candidate, int]] = []

    def size_bytes(self, candidate: Candidate) -> int:
        """Return how far into its image a device reaches; to be asked before it goes."""
        status = candidate.seen.status
        return (0 if status is None else status.offset_bytes) + self._kernel.size_bytes(candidate.number)

    def released(self, candidate: Candidate, size_bytes: int) -> None:
        """Note that a device went."""
        self._released.append((candidate, size_bytes))

    def devices(self, bound: Iterable[Seen]) -> tuple[ReleasedDevice, ...]:
        """Return what was released; of ``bound``, whatever is not among that keeps its image on the disk."""
        gone = {candidate.seen.key for candidate, _ in self._released}
        held = {one.inode for one in bound if one.key not in gone}
        sizes: dict[tuple[int, int] | None, int] = {}
        last: dict[tuple[int, int] | None, int] = {}
        for index, (candidate, size_bytes) in enumerate(self._released):
            image = candidate.seen.inode
            sizes[image] = max(sizes.get(image, 0), size_bytes)
            last[image] = index
        return tuple(
            self._report(one, sizes[one.seen.inode] if _frees(one, held) and last[one.seen.inode] == index else 0)
            for index, (one, _) in enumerate(self._released)
        )

    def _report(self, candidate: Candidate, freed_bytes: int) -> ReleasedDevice:
        node = os.fspath(self._kernel.node(candidate.number))
        return ReleasedDevice(node, candidate.image, candidate.found_by, freed_bytes)


def _frees(candidate: Candidate, held: Collection[tuple[int, int] | None]) -> bool:
    is_deleted = candidate.seen.bound.backing_file.endswith(DELETED_SUFFIX)
    return is_deleted and candidate.seen.inode is not None and candidate.seen.inode not in held
