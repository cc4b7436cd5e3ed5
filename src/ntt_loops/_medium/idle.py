"""Releasing what of a medium nobody uses, before it is attached anew: what is busy stays, and is not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._medium.candidates import Finder
from ntt_loops._medium.release import Release
from ntt_loops._medium.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.candidates import Medium


def release_idle(kernel: Kernel, ledger: Ledger, media: Iterable[Medium], deadline: Deadline) -> None:
    """Try each device of a medium once; what could not be detached, and why, is of no account here.

    ``media`` are the ways in which the medium is known: by its id, by its image. A device is asked for its status once.
    """
    survey = Survey(kernel, deadline)
    for medium in media:
        finder = Finder(kernel, medium, survey)
        Release(kernel, ledger, medium.name, survey=survey, finder=finder, deadline=deadline, unmount=False).run_once()
