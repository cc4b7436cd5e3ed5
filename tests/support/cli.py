"""The command line in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ntt_loops.cli import main

if TYPE_CHECKING:
    import os

    import pytest


class Ended(NamedTuple):
    """What a run came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """What it printed, read as JSON."""
        return json.loads(self.out)


class CommandLine:
    """Runs ``ntt-loops``; what it prints is caught at the descriptors, that of its children too."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        """Take pytest's capture of descriptors."""
        self._capture = capture

    def __call__(self, *arguments: str | os.PathLike[str]) -> Ended:
        """Run it."""
        self._capture.readouterr()
        status = main([str(argument) for argument in arguments])
        return Ended(int(status), *self._capture.readouterr())
