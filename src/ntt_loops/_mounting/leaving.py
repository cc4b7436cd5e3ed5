"""Cleaning up to the end, though a Ctrl-C comes in the middle of it, and without hiding why."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ntt_loops.errors import NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Callable

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
        try:
            self._clean()
        except (NttLoopsError, OSError) as own:
            error.add_note(f"ntt_loops, on cleaning up: {own}")
            logger.warning("%s", own)
