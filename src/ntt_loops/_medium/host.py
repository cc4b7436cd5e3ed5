"""Every bound device of the host, whoever made it, and who keeps it busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Holder, find_holders_of, is_hash, medium_of
from ntt_loops._medium.candidates import Candidate, Finder, Medium, OtherLedgers, name_by_tag
from ntt_loops._medium.listing import AttachmentState, known_media, state_of
from ntt_loops._medium.nearby import Nearby
from ntt_loops._medium.survey import Survey

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.seen import Seen


@attrs.frozen
class DeviceState(AttachmentState):
    """One bound device of the host.

    Attributes:
        medium: The medium that it is of: by its record, its tag, its image, or the image's name where that is a hash;
            None where it is of none.
        is_armed: Whether the kernel detaches it after its last user (AUTOCLEAR); None where that cannot be told.
        holders: Who keeps it busy, as far as can be seen.
    """

    medium: str | None
    is_armed: bool | None
    holders: tuple[Holder, ...]


def list_devices(kernel: Kernel, ledger: Ledger, number: int | None, deadline: Deadline) -> list[DeviceState]:
    """Return the bound devices, or the one of that number, by number; it changes nothing and takes no lock."""
    registry = ledger.registry()  # and so see whether the folder is to be trusted
    survey = Survey(kernel, deadline, only=number)
    devices = survey.look(probes=True)
    of_media = _of_media(kernel, ledger, survey, devices, known_media(ledger, registry, devices))
    held = find_holders_of(kernel, [one.number for one in devices])
    states = []
    for one in devices:
        medium, candidate = of_media.get(one.number) or (_named_for(ledger, one), _alone(ledger, one))
        status = one.status
        states.append(
            DeviceState(
                **attrs.asdict(state_of(kernel, candidate, survey), recurse=False),
                medium=medium,
                is_armed=None if status is None else status.autoclear,
                holders=tuple(held[one.number]),
            )
        )
    return sorted(states, key=lambda state: int(state.device.rpartition("loop")[2]))


def _of_media(
    kernel: Kernel, ledger: Ledger, survey: Survey, devices: list[Seen], media: list[str]
) -> dict[int, tuple[str, Candidate]]:
    """Return, by number, the medium of each device; a record or a tag of its own says more than a common image."""
    found: dict[int, tuple[str, Candidate]] = {}
    nearby = Nearby(devices)
    for name in media:
        records = ledger.peek(name)
        for one in Finder(kernel, Medium(name), survey).candidates(nearby.of(name, records), records):
            if one.number not in found or one.found_by in ("ledger", "tag"):
                found[one.number] = (name, one)
    return found


def _alone(ledger: Ledger, seen: Seen) -> Candidate:
    return OtherLedgers(ledger).complete(Candidate(seen, "device", None))


def _named_for(ledger: Ledger, seen: Seen) -> str | None:
    """Return the medium of a device that no ledger here has: another folder's tag says it, or a hash as a name."""
    tagged = name_by_tag(ledger, seen)
    if tagged is not None:
        return tagged
    name = medium_of(os.fsdecode(seen.path))
    return name if is_hash(name) else None
