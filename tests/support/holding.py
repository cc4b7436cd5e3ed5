"""What keeps a device busy, beyond mounts and swap: other processes."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

#: Without a file of its own the shell keeps descriptor 3 until the line comes, or the seconds are over.
_UNTIL_TOLD = 'exec 3<"$1"; echo; read -r end'
_FOR_SECONDS = 'exec 3<"$1"; echo; exec sleep "$2"'


class Reader:
    """A process that has a node open for reading."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take a process that says a line once it has opened the node."""
        self._process = process
        self.pid = process.pid
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n", "the node could not be opened"

    def let_go(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.communicate(b"\n")

    def end(self) -> None:
        """End it the hard way."""
        with self._process:
            self._process.kill()


@contextmanager
def reader(node: os.PathLike[str] | str) -> Iterator[Reader]:
    """A process that reads a node, without a claim, until the block ends or it is told to let go."""
    yield from _running("sh", "-c", _UNTIL_TOLD, "sh", node)


@contextmanager
def reader_for(node: os.PathLike[str] | str, seconds: float) -> Iterator[Reader]:
    """A process that reads a node and lets it go after some seconds."""
    yield from _running("sh", "-c", _FOR_SECONDS, "sh", node, str(seconds))


@contextmanager
def worker_in(folder: os.PathLike[str], seconds: float) -> Iterator[Reader]:
    """A process that works in a folder for some seconds."""
    yield from _running("sh", "-c", 'cd "$1"; echo; exec sleep "$2"', "sh", folder, str(seconds))


def _running(*command: os.PathLike[str] | str) -> Iterator[Reader]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    found = Reader(process)
    try:
        yield found
    finally:
        found.end()
