"""The last hand on what a public call raises: errors of the machine become one of ours."""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import Any

from ntt_loops.errors import KernelError, NttLoopsError


class kernel_errors(contextlib.ContextDecorator):  # noqa: N801 - used like a function
    """Turn each OSError that nothing below has understood into a KernelError: callers catch one family of errors.

    An interrupt goes on as it is, but its traceback keeps none of the descriptors and locks that it hit a call with.
    """

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            traceback.clear_frames(error.__traceback__)
        elif isinstance(error, OSError) and not isinstance(error, NttLoopsError):
            where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
            message = f"{error.strerror or error}{where}: this machine refused a call; see to that and try again"
            raise KernelError(message, errno=error.errno, **self._facts) from error
