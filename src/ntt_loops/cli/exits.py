"""The exit statuses."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exit(enum.IntEnum):
    """What a status means; ``run`` gives that of its command, or 128 and the number of the signal that ended it."""

    DONE = 0
    #: It could not be done; another try will hardly help.
    ERROR = 1
    #: The arguments make no sense.
    USAGE = 2
    #: Somebody uses it: later it may work (EX_TEMPFAIL of sysexits.h).
    BUSY = 75
    #: ``run``: the command is no program, or may not be run.
    NOT_EXECUTABLE = 126
    #: ``run``: there is no such command.
    NOT_FOUND = 127
    #: Ctrl-C.
    INTERRUPTED = 130
    #: Whoever read our output has gone, as after ``| head``.
    BROKEN_PIPE = 141


_BAD_TO_WORST = (Exit.DONE, Exit.BUSY, Exit.ERROR)


def worst(statuses: Iterable[Exit]) -> Exit:
    """Return the worst of several: where something failed for good, trying again later does not help."""
    return max(statuses, key=_BAD_TO_WORST.index, default=Exit.DONE)
