"""What a release raises, with its report, where it did not come to an end that an image may be deleted after."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._attachment.holders import say
from ntt_loops.errors import DeviceBusyError, ImageWriteError, LedgerError, MediumError

if TYPE_CHECKING:
    from ntt_loops._attachment import Holder
    from ntt_loops._medium.candidates import Medium
    from ntt_loops._medium.reports import ReleaseReport


def out_of_reach(medium: Medium, why: OSError, report: ReleaseReport) -> DeviceBusyError:
    """Return the error for a file that cannot be asked for its inode: the devices of it may be bound by any path."""
    paths = " or ".join(sorted(map(os.fsdecode, medium.paths)))
    message = (
        f"which devices have {paths} cannot be told, it is out of reach: {why.strerror or why}; "
        "what could be told was released; keep the image and try again"
    )
    return DeviceBusyError(message, medium=medium.name, report=report)


def check_is_no_file(name: str) -> None:
    """Raise MediumError where a name of which nothing was found is that of a file here: the file was meant."""
    if os.path.lexists(name):
        message = (
            f"nothing of a medium {name!r} is attached or on record, but there is a file of that name here: "
            f"write './{name}' for the file"
        )
        raise MediumError(message, medium=name)


def still_in_use(report: ReleaseReport, holders: tuple[Holder, ...]) -> DeviceBusyError:
    """Return the error for devices that stay, by those who hold them."""
    devices = ", ".join(sorted({holder.device for holder in holders}))
    message = f"medium {report.medium} is still in use, {devices} stays: {say(holders)}; keep the image and try again"
    return DeviceBusyError(message, medium=report.medium, device=holders[0].device, holders=holders, report=report)


def lost_writes(
    message: str, backing_file: bytes, error: OSError, report: ReleaseReport, holders: tuple[Holder, ...]
) -> ImageWriteError:
    """Return the error for an image that has not all that was written to its device."""
    image = Path(os.fsdecode(backing_file))
    return ImageWriteError(
        message, medium=report.medium, image=image, errno=error.errno, report=report, holders=holders
    )


def not_locked(locked: LedgerError, report: ReleaseReport) -> LedgerError:
    """Return the error for a medium whose ledger somebody else has locked all the time."""
    message = f"{locked}; what was found was released, but another process may be attaching more"
    return LedgerError(message, medium=report.medium, path=locked.path, report=report, errno=errno.EAGAIN)
