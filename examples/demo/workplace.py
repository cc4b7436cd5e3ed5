"""The demo's own folder, which goes at the end with all that stands on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.output import tell
from ntt_loops import NttLoopsError, SweepReport, release_all, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.demo.machine import Machine

#: A sweep never waits: what somebody looks at just then, as udev and losetup do, is for the next one.
_PAUSES_SECONDS = (0.1, 0.5, 2.0)


@contextlib.contextmanager
def working_folder(machine: Machine) -> Iterator[Path]:
    """Make a folder for images, mounts and the ledger; however it ends, unmount, detach and delete all of it."""
    folder = Path(tempfile.mkdtemp(prefix="ntt-loops-demo-")).resolve()
    os.environ["NTT_LOOPS_RUN_DIR"] = str(folder / "run")
    print(f"All files lie below {folder}, which is deleted at the end; names below are relative to it.", flush=True)
    try:
        yield folder
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _release(folder)
        left = machine.devices_below(folder) + machine.mounts_below(folder)
        if left:
            tell("LEFT", f"{', '.join(left)}; so {folder} is not deleted")
        else:
            shutil.rmtree(folder)


def _release(folder: Path) -> None:
    """Release what an interruption left; after a whole run there is nothing."""
    for image in folder.glob("**/images/*"):
        try:
            release_all(image, unmount=True)
        except NttLoopsError as error:
            tell("LEFT", str(error))
    sweep_all(folder)


def sweep_all(folder: Path) -> list[SweepReport]:
    """Sweep a folder until no device is kept; in a cron job the next hour's sweep does it."""
    reports = [sweep(under=folder)]
    for pause in _PAUSES_SECONDS:
        if not reports[-1].kept:
            break
        time.sleep(pause)
        reports.append(sweep(under=folder))
    return reports
