"""KeyboardInterrupt at a chosen point of the library's own code: what a Ctrl-C can do at its worst.

CPython looks for signals at the start of a function, after a call and at the end of a loop's round, nowhere else. So
only there an interrupt is played: at another bytecode it would break what the interpreter itself relies on.
"""

from __future__ import annotations

import dis
import functools
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ntt_loops

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

PACKAGE: Final = str(Path(ntt_loops.__file__).parent)
#: The kernel in memory: a system call is not interrupted inside.
PLAYED: Final = str(Path(ntt_loops.__file__).parent / "testing")
_LOOKS_FOR_SIGNALS: Final = ("RESUME", "CALL", "JUMP_BACKWARD")


class Interrupter:
    """A trace function that raises KeyboardInterrupt at the ``at``-th point where the library can be interrupted."""

    def __init__(self, at: int, within: str = PACKAGE) -> None:
        """Count from one; what is called by the library but not of it, or of no file within, is not counted."""
        self.left = at
        self._within = within
        self._previous: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, _: str, __: object) -> Callable[..., Any] | None:
        """Trace each frame of the library, bytecode by bytecode."""
        file = frame.f_code.co_filename
        if not file.startswith(self._within) or file.startswith(PLAYED):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, __: object) -> Callable[..., Any]:
        if event == "opcode":
            self._count(frame)
        elif event in ("exception", "return"):  # after a call that raised there is no look for signals
            self._previous.pop(frame, None)
        return self._step

    def _count(self, frame: FrameType) -> None:
        was = self._previous.get(frame, "")
        self._previous[frame] = dis.opname[_bytecode(frame.f_code)[frame.f_lasti]]
        if was.startswith(_LOOKS_FOR_SIGNALS):
            self.left -= 1
            if self.left == 0:
                self._previous.clear()
                raise KeyboardInterrupt


@functools.cache
def _bytecode(code: CodeType) -> bytes:
    return code.co_code


def interrupt(work: Callable[[], object], at: int, within: str = PACKAGE) -> bool:
    """Run a function, interrupt it at that point, and drop the exception; say whether it got that far."""
    tracer = Interrupter(at, within)
    sys._getframe().f_trace_opcodes = True  # 3.12 traces bytecodes only if a frame asked for it before
    sys.settrace(tracer)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    gc.collect()
    return tracer.left <= 0


def runs_in_library(frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, is the library's: then a signal hits the library's own work."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return True
        frame = frame.f_back
    return False
