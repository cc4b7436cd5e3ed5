"""What is attached, by medium: a look that changes nothing and takes no lock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ntt_loops._medium.candidates import Candidate, Finder, Medium, media_of
from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.nearby import Nearby
from ntt_loops._medium.survey import Survey
from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.seen import Seen


@attrs.frozen
class AttachmentState:
    """One attachment of a medium.

    Attributes:
        device: Its node.
        image: Its image's path, as the kernel has it.
        made_by: ``scoped`` or ``kept`` by this library, or ``foreign``: by somebody else, on the same image.
        is_deleted: Whether the image is deleted; None where that cannot be told.
        size_bytes: What the device shows.
        read_only: Whether it refuses writes; None where its storage does not answer.
        owner_pid: The process that made it, where that is on record.
        owner_is_alive: Whether that process lives; None where it cannot be told.
        age_seconds: How long ago it was attached, where that is on record.
        is_stuck: Whether its storage does not answer.
        image_id: Device and inode number of its image: two deleted ones of one path are two. None where it is stuck.
    """

    device: str
    image: Path
    made_by: Literal["scoped", "kept", "foreign"]
    is_deleted: bool | None
    size_bytes: int
    read_only: bool | None
    owner_pid: int | None
    owner_is_alive: bool | None
    age_seconds: float | None
    is_stuck: bool
    image_id: tuple[int, int] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


@attrs.frozen
class MediumState:
    """A medium, and what of it is attached now."""

    medium: str
    attachments: tuple[AttachmentState, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def list_media(kernel: Kernel, ledger: Ledger, medium: str | None, deadline: Deadline) -> list[MediumState]:
    """Return the media with something attached, sorted by id."""
    registry = ledger.registry()  # and so see whether the folder is to be trusted
    survey = Survey(kernel, deadline)
    devices = survey.look(probes=True)
    media = [medium] if medium is not None else known_media(ledger, registry, devices)
    nearby = Nearby(devices)
    states = []
    for name in media:
        records = ledger.peek(name)
        found = Finder(kernel, Medium(name), survey).candidates(nearby.of(name, records), records)
        if found:
            states.append(MediumState(name, tuple(state_of(kernel, one, survey) for one in found)))
    return states


def known_media(ledger: Ledger, registry: str | None, devices: list[Seen]) -> list[str]:
    """Return the media of which this ledger folder, or a tag of it, knows."""
    tags = {one.tag for one in devices if one.tag is not None and one.tag.registry == registry}
    return sorted({*ledger.media(), *(name for tag in tags for name in media_of(ledger, tag))})


def state_of(kernel: Kernel, candidate: Candidate, survey: Survey) -> AttachmentState:
    """Return what is known of one device."""
    seen, record = candidate.seen, candidate.record
    owner = None if record is None else record.owner
    judged = survey.judged(seen)
    return AttachmentState(
        device=kernel.node(seen.number),
        image=Path(os.fsdecode(judged.path or (record.image if record is not None else b""))),
        made_by=_made_by(candidate),
        is_deleted=None if judged.deletion is Deletion.UNKNOWN else judged.deletion is Deletion.DELETED,
        size_bytes=kernel.size_bytes(seen.number),
        read_only=None if seen.status is None else seen.status.read_only,
        owner_pid=None if owner is None else owner.pid,
        owner_is_alive=None if owner is None else kernel.is_alive(owner),
        age_seconds=None if record is None else max(0.0, kernel.uptime() - record.uptime),
        is_stuck=seen.stuck,
        image_id=seen.inode,
    )


def _made_by(candidate: Candidate) -> Literal["scoped", "kept", "foreign"]:
    if candidate.record is not None:
        return candidate.record.lifetime
    if candidate.seen.tag is not None:
        return "kept" if candidate.seen.tag.kept else "scoped"
    return "foreign"
