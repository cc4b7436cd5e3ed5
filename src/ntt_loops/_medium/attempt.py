"""One try at one device, and the words for why it did not go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Detached, Detacher, Outcome, find_holders
from ntt_loops._attachment.holders import Holder, Kind, other_holder, owner_holder
from ntt_loops._medium.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel, Process
    from ntt_loops._medium.candidates import Candidate

#: How long one device that another opener keeps is tried under one claim before the others get their turn. Most such
#: openers - udev, a listing - are gone by then (F26, F36).
PATIENCE_SECONDS = 0.02

_KIND_OF: dict[Outcome, Kind] = {
    Outcome.DETACHING: "detaching",
    Outcome.NO_NODE: "no-node",
    Outcome.STUCK: "stuck",
    Outcome.FAILED: "failed",
}


@attrs.frozen
class Attempt:
    """Tries devices until a deadline."""

    kernel: Kernel
    deadline: Deadline
    within: float

    def detach(self, candidate: Candidate, on_write_error: Callable[[OSError], object]) -> Detached:
        """Try once; no claim is laid on what belongs to a living ``with`` block, or cannot be told apart.

        ``on_write_error`` is told of writes that are lost, also where an error or an interruption comes after.
        """
        if candidate.seen.stuck:
            return Detached(Outcome.STUCK if self._is_there(candidate) else Outcome.GONE)
        if candidate.seen.status is None and candidate.record is None:
            return Detached(_why_unknown(candidate.seen) if self._is_there(candidate) else Outcome.GONE)
        if living_owner(self.kernel, candidate) is not None:
            return Detached(Outcome.BUSY if self._is_there(candidate) else Outcome.GONE)
        detacher = Detacher(
            kernel=self.kernel,
            identity=candidate.identity,
            disarms=candidate.is_kept_by_us,
            within=self.within if candidate.seen.hangs else None,
            patience=self.deadline.sooner(PATIENCE_SECONDS),
            deadline=self.deadline,
            on_write_error=on_write_error,
        )
        return detacher.detach()

    def _is_there(self, candidate: Candidate) -> bool:
        """Whether it is still bound, as far as sysfs tells; the storage is not asked."""
        bound = self.kernel.look(candidate.number)
        return bound is not None and Seen(bound, None).key == candidate.seen.key

    def holders(self, candidate: Candidate, outcome: Outcome) -> tuple[Holder, ...]:
        """Return who keeps a device that was not detached."""
        if outcome in _KIND_OF:
            return (other_holder(self.kernel, candidate.number, _KIND_OF[outcome], os.fsdecode(candidate.seen.path)),)
        owner = living_owner(self.kernel, candidate)
        if owner is not None:
            return (owner_holder(self.kernel, candidate.number, owner),)
        return tuple(find_holders(self.kernel, candidate.number))


def _why_unknown(seen: Seen) -> Outcome:
    if seen.is_dead:
        return Outcome.STUCK
    return Outcome.DETACHING if seen.has_node else Outcome.NO_NODE


def living_owner(kernel: Kernel, candidate: Candidate) -> Process | None:
    """Return the process whose ``with`` block a scoped device is, if it lives, can be seen, and still holds it.

    It may live on without: an exit that was interrupted has let the device go, but could not write that down.
    """
    record = candidate.record
    if record is None or record.lifetime != "scoped" or record.owner is None or not kernel.is_alive(record.owner):
        return None
    rdev = kernel.rdev(candidate.number)
    is_held = rdev is not None and bool(kernel.openers(frozenset((rdev,)), pid=record.owner.pid))
    return record.owner if is_held else None
