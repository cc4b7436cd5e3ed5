"""Releasing what of a medium nobody uses, before it is attached anew: what is busy stays, and is not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._medium.candidates import Finder, Medium
from ntt_loops._medium.release import Release
from ntt_loops._medium.survey import Survey

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger


def release_idle(kernel: Kernel, ledger: Ledger, medium: Medium, deadline: Deadline) -> None:
    """Try each device of a medium once; what could not be detached, and why, is of no account here."""
    survey = Survey(kernel, deadline)
    finder = Finder(kernel, medium, survey)
    Release(kernel, ledger, medium.name, survey=survey, finder=finder, deadline=deadline, unmount=False).run_once()
