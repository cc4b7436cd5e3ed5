"""What is sent to a worker: take one medium through the stages of examples/pipeline.py.

An order goes to the worker and an outcome comes back: paths, a hash, some words. The image stays where it lies.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo import Medium
from examples.demo.real import RealMachine
from examples.fleet_parts.station import write
from examples.pipeline import Pipeline
from ntt_loops import attach_kept, release_all

if TYPE_CHECKING:
    from examples.fleet_parts.station import Stop
    from ntt_loops import LoopDevice

#: The stages before the archive is published; what each leaves is in the folder of its try.
STAGES = ("identify", "copy", "release", "pack")
#: By then a try that waits to be killed was.
_KILLED_SECONDS = 120.0


@dataclass(frozen=True)
class Order:
    """A medium to process: the station's folder, the image's name, and where the first try is killed."""

    folder: str
    image: str
    stop: Stop | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it: the medium, the process, and ``published``, ``came second`` or ``was done``."""

    medium: str
    pid: int
    event: str


def process(order: Order) -> Outcome:
    """Process a medium. It can be run again after a kill at any moment, and by two workers at once."""
    folder = Path(order.folder)
    image = folder / "images" / order.image
    archive = folder / "archive" / f"{image.stem}.tar"
    number, own = begin(folder, image.stem)
    medium = Medium(image, own / "mnt", {}, "")
    stop = order.stop if number == 1 else None
    pipeline = Pipeline(StoppingMachine(folder, image.stem, stop), own)
    event = "was done"
    if not archive.exists():
        for name in STAGES:
            pipeline.stages[name](medium)
        event = "published" if publish(own / "archive" / archive.name, archive) else "came second"
        write(folder, image.stem, event, os.getpid())
    if image.exists():
        pipeline.unlink(medium)
    else:
        release_all(image.stem)
    shutil.rmtree(own)
    return Outcome(image.stem, os.getpid(), event)


def begin(folder: Path, medium: str) -> tuple[int, Path]:
    """Make a folder for this try that no other try has, and write down that it has begun."""
    number = 1
    while True:
        own = folder / "tries" / f"{medium}-{number}"
        try:
            own.mkdir()
        except FileExistsError:
            number += 1
        else:
            write(folder, medium, "begins", os.getpid())
            return number, own


def publish(made: Path, archive: Path) -> bool:
    """Give what was made the name that counts, if nobody has done so before: link(2) never replaces a file."""
    try:
        os.link(made, archive)
    except FileExistsError:
        return False
    return True


class StoppingMachine(RealMachine):
    """The real machine; a first try waits at the moment that it is to be killed at."""

    def __init__(self, folder: Path, medium: str, stop: Stop | None) -> None:
        self._folder = folder
        self._medium = medium
        self._stop = stop

    def identify(self, device: LoopDevice) -> str:
        """Ask blkid(8); then wait with the image attached, or with one more device that is kept."""
        said = super().identify(device)
        if self._stop == "kept":
            attach_kept(device.image)
        if self._stop in ("attached", "kept"):
            self._wait()
        return said

    def mount(self, device: LoopDevice, point: Path) -> None:
        """Mount; then wait."""
        super().mount(device, point)
        if self._stop == "mounted":
            self._wait()

    def _wait(self) -> None:
        write(self._folder, self._medium, "waits", os.getpid())
        time.sleep(_KILLED_SECONDS)
        message = f"process {os.getpid()} was to be killed, and was not"
        raise TimeoutError(message)
