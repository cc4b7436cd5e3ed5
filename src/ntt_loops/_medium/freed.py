"""How many bytes a release gives back: those of a deleted image, at its last device (F22); and what may be lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.reports import ReleasedDevice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ntt_loops._kernel import Kernel
    from ntt_loops._medium.candidates import Candidate
    from ntt_loops._medium.deletion import Judged
    from ntt_loops._medium.seen import Seen
    from ntt_loops._medium.survey import Survey


@attrs.frozen
class Going:
    """A device that is about to be detached: what cannot be asked any more once it is gone."""

    candidate: Candidate
    judged: Judged
    #: How far into its image it reaches.
    end_bytes: int

    @property
    def inode(self) -> tuple[int, int] | None:
        """The (dev, inode) of its image."""
        return self.candidate.seen.inode


def not_written(kernel: Kernel, medium: str, going: Going, error: OSError) -> str:
    """Say that the flush of a writable device failed."""
    node, image = kernel.node(going.candidate.number), os.fsdecode(going.judged.path)
    return (
        f"what was written to {node} may not be in {image} (medium {medium}): {error.strerror}; "
        "do not pack or unlink the image as it is"
    )


class Freed:
    """Adds up what was released."""

    def __init__(self, kernel: Kernel, survey: Survey) -> None:
        self._kernel = kernel
        self._survey = survey
        self._released: list[Going] = []

    def going(self, candidate: Candidate) -> Going:
        """Note what a device is; to be asked before it goes."""
        status = candidate.seen.status
        offset = 0 if status is None else status.offset_bytes
        return Going(candidate, self._survey.judged(candidate.seen), offset + self._kernel.size_bytes(candidate.number))

    def released(self, going: Going) -> None:
        """Note that it went."""
        self._released.append(going)

    def devices(self, bound: Iterable[Seen]) -> tuple[ReleasedDevice, ...]:
        """Return what was released; of ``bound``, whatever is not among that keeps its image on the disk."""
        gone = {one.candidate.seen.key for one in self._released}
        held = {one.inode for one in bound if one.key not in gone}
        ends: dict[tuple[int, int] | None, int] = {}
        last: dict[tuple[int, int] | None, Going] = {}
        for one in self._released:
            ends[one.inode] = max(ends.get(one.inode, 0), one.end_bytes)
            last[one.inode] = one
        return tuple(
            self._report(one, ends[one.inode] if last[one.inode] is one and _frees(one, held) else 0)
            for one in self._released
        )

    def _report(self, one: Going, freed_bytes: int) -> ReleasedDevice:
        node = self._kernel.node(one.candidate.number)
        image = Path(os.fsdecode(one.judged.path))
        return ReleasedDevice(node, image, one.candidate.found_by, freed_bytes)


def _frees(one: Going, held: Collection[tuple[int, int] | None]) -> bool:
    return one.judged.deletion is Deletion.DELETED and one.inode is not None and one.inode not in held
