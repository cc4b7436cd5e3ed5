"""The folders of an orchestrator, and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support import ntt, ntt_media, oracle

if TYPE_CHECKING:
    import subprocess

STAGES: Final = ["mount", "copy", "unmount", "archive"]
#: It says that it is there, and does no more.
_STOP_IN_COPY: Final = """
import time
from pathlib import Path
from examples.ntt.common.copying import Copier
def stop(self, file, unfinished):
    unfinished.write_bytes(b"half")
    Path({note!r}).touch()
    while not self._stop.is_set():
        time.sleep(0.01)
    raise InterruptedError
Copier._write = stop
"""


class Place:
    """The folders that the NTT programs are told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("img", "archives", "work"):
            (folder / name).mkdir()
        self.images = folder / "img"
        self.root = folder / "mnt"

    def arguments(self, *more: str) -> list[str]:
        """Return the command line."""
        named = {"images": self.images, "archives": self.folder / "archives", "work": self.folder / "work"}
        options = [word for name, path in {**named, "root": self.root}.items() for word in (f"--{name}", str(path))]
        return [*options, "--pause", "0.01", "--patience", "0.5", *more]

    def run(self, *more: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return ntt.run("orchestrator.py", *self.arguments(*more), **options)

    def state(self, image: Path) -> dict[str, Any]:
        """Return what is noted of a medium."""
        found: dict[str, Any] = json.loads((self.folder / "work" / "state" / f"{image.stem}.json").read_bytes())
        return found

    def assert_done(self, image: Path) -> None:
        """All stages are done: the copies are whole, the archive is there, the image and all devices are gone."""
        assert self.state(image)["done"] == STAGES
        assert not image.exists()
        assert (self.folder / "archives" / f"{image.stem}.tar.zst").exists()
        out = self.folder / "work" / "out"
        oracle.run("env", "-C", out, "sha256sum", "--check", "--strict", "--quiet", f"{image.stem}.sha256")
        ntt_media.assert_nothing_of(image, self.root)
        assert list((self.folder / "work").glob("scratch/*")) == []

    def copies(self, image: Path) -> dict[str, bytes]:
        """Return the files that were copied."""
        out = self.folder / "work" / "out" / image.stem
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def start_and_stop_in_copy(place: Place, **options: Any) -> subprocess.Popen[str]:
    """Start an orchestrator and wait until it is in the middle of a copy, where it stays until it is told to end."""
    note = place.folder / "stopped"
    change = _STOP_IN_COPY.format(note=str(note))
    process = ntt.start_changed(place.folder, change, "orchestrator.py", *place.arguments(), **options)
    ntt.wait_for(note)
    return process


def end_of_stopped(folder: Path) -> None:
    """End the program that was stopped, as a reboot or its own end would some time."""
    pid = (folder / "stopped").read_text().strip()
    if pid and Path("/proc", pid).exists():
        os.kill(int(pid), signal.SIGKILL)
