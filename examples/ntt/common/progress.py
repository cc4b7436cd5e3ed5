"""How far a copy is: bars on a terminal where rich is installed (the extra ``cli``), else a line now and then."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from typing import TYPE_CHECKING, Protocol

from examples.ntt.common.program import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Shows how far a copy is."""

    def copying(self, medium: str, files: int, size_bytes: int) -> AbstractContextManager[Callable[[int], object]]:
        """Show the copy of a medium in a ``with`` block; call what it yields with each number of bytes that is done."""


class Lines:
    """Says a line now and then."""

    @contextlib.contextmanager
    def copying(self, medium: str, files: int, size_bytes: int) -> Iterator[Callable[[int], object]]:
        """Show the copy of a medium."""
        done, said = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, said
            done += count
            if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                say(f"{medium}: {done} of {size_bytes} bytes")

        say(f"{medium}: {files} files, {size_bytes} bytes")
        yield advance


class Bars:
    """Draws a bar."""

    @contextlib.contextmanager
    def copying(self, medium: str, files: int, size_bytes: int) -> Iterator[Callable[[int], object]]:
        """Show the copy of a medium."""
        from rich import progress  # noqa: PLC0415 - it need not be installed
        from rich.console import Console  # noqa: PLC0415

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(f"{medium}: {files} files", total=size_bytes)
            yield lambda count: bars.advance(task, count)


def choose_progress() -> Progress:
    """Choose what suits the terminal."""
    return Bars() if sys.stderr.isatty() and importlib.util.find_spec("rich") else Lines()
