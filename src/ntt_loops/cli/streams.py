"""The standard streams: no name breaks them, and warnings of the library are sentences on stderr."""

from __future__ import annotations

import io
import logging
import os
import sys

from ntt_loops.cli.failures import complain


def set_up() -> None:
    r"""Show what an encoding lacks as ``\u20ac``, and print the library's warnings as sentences of our own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("ntt_loops")
    if not any(isinstance(handler, _Warnings) for handler in logger.handlers):
        logger.addHandler(_Warnings(logging.WARNING))


def give_up_stdout() -> None:
    """Let the interpreter flush to nowhere what nobody reads any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning."""
        complain(f"warning: {record.getMessage()}")
