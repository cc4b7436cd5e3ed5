"""Errors as the kernel gives them."""

from __future__ import annotations

import os


def failure(number: int, path: str | None = None) -> OSError:
    """Return the error of that errno, with the kernel's own text; ``path`` names the file where open(2) failed."""
    return OSError(number, os.strerror(number)) if path is None else OSError(number, os.strerror(number), path)
