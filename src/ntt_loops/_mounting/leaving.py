"""Cleaning up to the end, though a Ctrl-C comes in the middle of it, and without hiding why."""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import TYPE_CHECKING

from ntt_loops.errors import NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = f"{__package__.partition('.')[0]}."
logger = logging.getLogger("ntt_loops")


class Leaving:
    """What is to be done in any case, and may be done twice."""

    def __init__(self, clean: Callable[[], None]) -> None:
        self._clean = clean
        self._is_over = False

    def now(self) -> None:
        """Clean up; what goes wrong is raised. Interrupted, it is not over."""
        try:
            self._clean()
        except (NttLoopsError, OSError):
            self._is_over = True
            raise
        self._is_over = True

    def after(self, error: BaseException) -> None:
        """Clean up because of an error, unless that came of cleaning up; what goes wrong now is a note on it."""
        if self._is_over:
            return
        if not isinstance(error, Exception):
            _let_go_of(error)
        try:
            self._clean()
        except (NttLoopsError, OSError) as own:
            error.add_note(f"ntt_loops, on cleaning up: {own}")
            logger.warning("%s", own)


def _let_go_of(interrupt: BaseException) -> None:
    """Drop what the library's own interrupted calls hold: a lock, say, that cleaning up has to take.

    A call that was interrupted at its first step has not got to its own ``finally``, and the interrupt's traceback
    would keep its variables as long as it is under way.
    """
    errors: list[BaseException | None] = [interrupt]
    for error in errors:
        if error is None:
            continue
        errors += [one for one in (error.__context__, error.__cause__) if one not in errors]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__")).startswith(_PACKAGE):
                with contextlib.suppress(RuntimeError):  # it still runs: this one's callers
                    frame.clear()
