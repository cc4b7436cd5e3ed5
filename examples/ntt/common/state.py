"""What is done with a medium, in a file that is whole at any time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from examples.ntt.common.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path


class State:
    """The stages that are done with one image; another image of that medium begins anew.

    Attributes:
        done: The stages that are done, in that order.
        facts: What they said.
    """

    def __init__(self, path: Path, image: Path) -> None:
        """Read the file, if there is one of this image, or of one that is gone by now."""
        self._path = path
        self._stage = ""
        self._image = _identity(image)
        known = json.loads(path.read_bytes()) if path.exists() else {}
        if self._image is None:
            self._image = known.get("image")
        elif known.get("image") != self._image:
            known = {}
        self.done: list[str] = known.get("done", [])
        self.facts: dict[str, Any] = known.get("facts", {})

    def at(self, stage: str) -> None:
        """Begin a stage; what was noted of an earlier failure goes with its end."""
        self._stage = stage

    def finish(self, said: object) -> None:
        """Note that the stage is done."""
        self.done.append(self._stage)
        self.facts[self._stage] = said
        self.facts.pop("error", None)
        self._write()

    def fail(self, error: Exception) -> None:
        """Note what the stage failed with; the next run begins with it. Of what never was there is nothing to note."""
        self.facts["error"] = f"{self._stage}: {error}"
        if self._image is not None:
            self._write()

    def _write(self) -> None:
        known = {"image": self._image, "done": self.done, "facts": self.facts}
        write_whole(self._path, json.dumps(known, indent=2).encode())


def _identity(image: Path) -> list[int] | None:
    try:
        found = image.stat()
    except FileNotFoundError:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
