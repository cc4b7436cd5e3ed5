"""The device that an image is rescued from: whether it may be, and what of the image it shows."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment.claimed import Claimed
from ntt_loops._medium.candidates import Candidate, OtherLedgers
from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.survey import Survey
from ntt_loops._rescue.values import LostBytes
from ntt_loops.errors import RescueError

if TYPE_CHECKING:
    from ntt_loops._attachment import Identity
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Handle, Kernel, LoopStatus
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.seen import Seen

_SECTOR = "a loop device shows whole sectors of 512 bytes only"


@attrs.frozen
class Source:
    """A device whose image may be rescued, and where to."""

    kernel: Kernel
    number: int
    file: str
    identity: Identity
    status: LoopStatus
    image: Path
    size_bytes: int
    #: The size of the image, where it is on record.
    image_bytes: int | None
    #: Seconds that a call gets which may hang; None where none does.
    within: float | None

    @property
    def node(self) -> str:
        """Its path."""
        return self.kernel.node(self.number)

    def error(self, reason: str, number: int) -> RescueError:
        """Return why it was not copied."""
        message = f"{self.image} was not copied from {self.node}: {reason}"
        return RescueError(message, device=self.node, image=self.image, file=self.file, errno=number)

    @property
    def lost(self) -> tuple[LostBytes, ...]:
        """What of the image the device does not show."""
        offset, limit = self.status.offset_bytes, self.status.size_limit_bytes
        before = [LostBytes(0, offset, "the device begins after them")] if offset else []
        end = offset + self.size_bytes
        if self.image_bytes is None:
            why = "the device ends here" if limit else f"up to 511 bytes, if there were any: {_SECTOR}"
            return (*before, LostBytes(end, None, why))
        if self.image_bytes <= end:
            return tuple(before)
        is_cut = limit and offset + limit < self.image_bytes
        return (*before, LostBytes(end, self.image_bytes, "the device ends before them" if is_cut else _SECTOR))

    @property
    def is_part(self) -> bool:
        """Whether the device shows a part of the image only, by its offset or its limit."""
        offset, limit = self.status.offset_bytes, self.status.size_limit_bytes
        is_whole = self.image_bytes is not None and offset + limit >= self.image_bytes
        return offset > 0 or (limit > 0 and not is_whole)

    def is_open_at(self, handle: Handle) -> bool:
        """Whether a descriptor is of this very attachment, and sysfs shows no other one by now."""
        one = Claimed(self.kernel, self.identity, disarms=False, within=self.within)
        return one.flags(handle) is not None and self.identity.is_bound(self.kernel)


def find_source(kernel: Kernel, ledger: Ledger, number: int, file: str, deadline: Deadline) -> Source:
    """Return the device; RescueError where there is nothing to rescue."""
    ledger.registry()  # and so see whether the folder is to be trusted
    survey = Survey(kernel, deadline, only=number)
    node = kernel.node(number)
    for seen in survey.look(probes=True):
        if seen.status is None:
            message = f"{node} cannot be read: {_why_silent(seen)}; nothing was copied"
            raise RescueError(message, device=node, image=survey.image_of(seen), file=file, errno=errno.EIO)
        judged = survey.judged(seen)
        image = Path(os.fsdecode(judged.path))
        if judged.deletion is Deletion.LIVING:
            message = f"the image of {node} is not deleted: it is {image}; copy that file, it has all bytes"
            raise RescueError(message, device=node, image=image, file=file, errno=errno.EEXIST)
        record = OtherLedgers(ledger).complete(Candidate(seen, "device", None)).record
        image_bytes = None if record is None else record.image_bytes
        within = survey.within() if seen.hangs else None
        size_bytes = kernel.size_bytes(number)
        return Source(kernel, number, file, seen.identity, seen.status, image, size_bytes, image_bytes, within)
    message = f"nothing is attached to {node}: if a deleted image was, it is gone"
    raise RescueError(message, device=node, file=file, errno=errno.ENXIO)


def _why_silent(seen: Seen) -> str:
    if seen.stuck or seen.is_dead:
        return "the storage of its image does not answer"
    return "it is being detached just now" if seen.has_node else "there is no node for it in /dev"
