"""Child processes for the tests of kernel facts: what may hang, and what needs another process."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.rawloop import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How long a call that hangs is watched. One that is merely slow would pass for it, so each test also lets
#: the call go on and asks for its answer.
HANG_SECONDS: Final = 0.5

_NOBODY: Final = 65534
_STANDARD: Final = (0, 1, 2)


class Child:
    """A forked process that does one thing and reports, in a word, what came of it.

    It keeps no descriptor of its parent but those in `keep`, so that it holds no device by accident.
    """

    def __init__(self, work: Callable[[], object], *, keep: tuple[int, ...] = ()) -> None:
        """Fork, and come back when the child is about to start its work."""
        self._report, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _report(work, writer, {*_STANDARD, writer, *keep})
        os.close(writer)
        assert os.read(self._report, 1) == b"."
        self._words: str | None = None

    def words(self, seconds: float = DEADLINE_SECONDS) -> str | None:
        """Return repr() of the result, or the name of the errno; None when there is neither in time."""
        if self._words is None and select.select([self._report], [], [], seconds)[0]:
            self._words = os.read(self._report, 4096).decode()
        return self._words

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def is_stuck_in_kernel(self) -> bool:
        """Whether it sleeps uninterruptibly, and not for a moment only."""
        return all(self._sleeps_uninterruptibly() for _ in range(5))

    def _sleeps_uninterruptibly(self) -> bool:
        time.sleep(0.005)
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].startswith("D")

    def stack(self) -> str:
        """Return the functions of the kernel that it is in."""
        return Path(f"/proc/{self.pid}/stack").read_text()

    def survives(self, number: signal.Signals) -> bool:
        """Send a signal; whether the process is still there after a while."""
        os.kill(self.pid, number)
        time.sleep(HANG_SECONDS)
        return self.is_running()

    def reap(self) -> None:
        """End it, where it has not ended yet, and wait for that."""
        os.close(self._report)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _report(work: Callable[[], object], writer: int, keep: set[int]) -> None:
    """In the child: do the work, say what came of it, end."""
    words = "an unexpected error"
    try:
        for fd in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - keep:
            with suppress(OSError):  # the one that listed the folder
                os.close(fd)
        os.write(writer, b".")
        words = repr(work())
    except OSError as error:
        words = errno.errorcode[error.errno or 0]
    finally:
        with suppress(BrokenPipeError):
            os.write(writer, words.encode())
        os._exit(0)


@contextmanager
def children() -> Iterator[Callable[..., Child]]:
    """Start children with the function that this yields; all are ended at the end."""
    with ExitStack() as stack:

        def start(work: Callable[[], object], *, keep: tuple[int, ...] = ()) -> Child:
            child = Child(work, keep=keep)
            stack.callback(child.reap)
            return child

        yield start


def as_nobody(work: Callable[[], object], *, keep: tuple[int, ...] = ()) -> str | None:
    """Do it in a child without any privilege that has these descriptors, and return its words."""

    def unprivileged() -> object:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        return work()

    with children() as start:
        return start(unprivileged, keep=keep).words()
