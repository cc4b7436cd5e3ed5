"""The one device that was named, as a medium's devices are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._medium.candidates import Candidate, pair
from ntt_loops._medium.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops._attachment import Identity
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Record
    from ntt_loops._medium.reports import FoundBy
    from ntt_loops._medium.seen import Seen


class DeviceFinder:
    """Finds the one attachment that was named."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def ask_again(self, deadline: Deadline) -> bool:  # noqa: ARG002 - as Finder has it
        """There is no file to ask for."""
        return False

    def candidates(self, devices: list[Seen], records: Sequence[Record]) -> list[Candidate]:
        """Return it, while it is there."""
        by_record = pair(devices, records)
        return [Candidate(one, _way(one, by_record), by_record.get(one.number)) for one in devices if self._is_it(one)]

    def left(self, devices: list[Seen], records: Sequence[Record]) -> list[Seen]:  # noqa: ARG002 - as Finder has it
        """Return none: whatever else is attached was not asked for."""
        return []

    def _is_it(self, seen: Seen) -> bool:
        if seen.number != self._identity.number or seen.bound.diskseq != self._identity.diskseq:
            return False
        return seen.status is None or self._identity.agrees(seen.status)


def _way(seen: Seen, by_record: dict[int, Record]) -> FoundBy:
    if seen.number in by_record:
        return "ledger"
    return "device" if seen.tag is None else "tag"


def is_there(kernel: Kernel, identity: Identity, deadline: Deadline) -> bool:
    """Whether an attachment without a diskseq is still bound.

    Its status must be asked for; where the storage does not answer, what sysfs tells must do.
    """
    seen = Survey(kernel, deadline, only=identity.number).look(probes=True)
    return bool(DeviceFinder(identity).candidates(seen, []))
