"""Releasing one attachment, and nothing else of its medium."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from ntt_loops._attachment import Identity, medium_of
from ntt_loops._medium.candidates import name_by_tag
from ntt_loops._medium.device_finder import DeviceFinder
from ntt_loops._medium.release import Release
from ntt_loops._medium.reports import ReleaseReport
from ntt_loops._medium.survey import Survey

if TYPE_CHECKING:
    from ntt_loops._attachment import LoopDevice
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger

logger = logging.getLogger("ntt_loops")


def release_device(
    kernel: Kernel, ledger: Ledger, device: LoopDevice, deadline: Deadline, *, unmount: bool = False
) -> ReleaseReport:
    """Release one attachment, and none that came after it on that number."""
    work = _of_one(kernel, ledger, device.medium, Identity.of_device(device), deadline, unmount=unmount)
    report = work.run(is_bare_name=False)
    for problem in report.problems:
        logger.warning("%s", problem, extra={"medium": device.medium, "device": str(device)})
    return report


def release_number(kernel: Kernel, ledger: Ledger, number: int, deadline: Deadline, *, unmount: bool) -> ReleaseReport:
    """Release what is bound to a number now, whoever attached it."""
    survey = Survey(kernel, deadline, only=number)
    for seen in survey.look(probes=True):
        image = medium_of(os.fsdecode(seen.path)) or f"loop{number}"
        medium = name_by_tag(ledger, seen) or image
        return _of_one(kernel, ledger, medium, seen.identity, deadline, unmount=unmount).run(is_bare_name=False)
    return ReleaseReport("")


def _of_one(  # noqa: PLR0913 - what the two of them are told apart by
    kernel: Kernel, ledger: Ledger, medium: str, identity: Identity, deadline: Deadline, *, unmount: bool
) -> Release:
    survey = Survey(kernel, deadline, only=identity.number)
    finder = DeviceFinder(identity)
    return Release(kernel, ledger, medium, survey=survey, finder=finder, deadline=deadline, unmount=unmount)
