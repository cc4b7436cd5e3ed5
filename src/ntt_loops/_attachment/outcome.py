"""What one try to detach a device came to."""

from __future__ import annotations

import enum

import attrs


class Outcome(enum.Enum):
    """What became of a device."""

    #: Detached by this call; sysfs says so.
    RELEASED = "released"
    #: Not attached any more, by nobody's doing here.
    GONE = "gone"
    #: Somebody uses it.
    BUSY = "busy"
    #: A detach is under way, by whomever (F35).
    DETACHING = "detaching"
    #: Bound, but without a node to open it by (F33).
    NO_NODE = "no node"
    #: Its storage does not answer (F21).
    STUCK = "stuck"
    #: The kernel refused, for another reason than its users.
    FAILED = "failed"


@attrs.frozen
class Detached:
    """The outcome of one try."""

    outcome: Outcome
    #: Of FAILED: what the kernel said.
    error: OSError | None = None
