"""Forked children: a function of a test in another process, what it says and returns handed back."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Far longer than anything here takes on a busy machine.
PATIENCE_SECONDS: Final = 1200.0


class Forked:
    """A forked child. Its function gets ``say``, whose values, and at last its result, ``hear`` returns in turn."""

    def __init__(self, work: Callable[[Callable[[object], None]], object]) -> None:
        """Fork; the child ends with ``os._exit`` unless its function exits otherwise."""
        self._inbox, outbox = Pipe(duplex=False)
        self.pid = os.fork()
        if self.pid == 0:
            _run(work, outbox)
        outbox.close()
        self._exit_status: int | None = None

    def hear(self, seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - what the child said
        """Return what the child says next; AssertionError when it says nothing in time, or failed."""
        assert self._inbox.poll(seconds), f"process {self.pid} said nothing in {seconds} s"
        kind, value = self._inbox.recv()
        assert kind != "error", value
        return value

    def has_said(self) -> bool:
        """Whether there is something to hear."""
        return self._inbox.poll()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; return its exit status, negative for a signal."""
        if self._exit_status is None:
            self._exit_status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._inbox.close()
        return self._exit_status

    def end(self) -> None:
        """Make sure that it is gone."""
        if self._exit_status is None:
            with suppress(ProcessLookupError):
                self.kill()
            self.wait()


def _run(work: Callable[[Callable[[object], None]], object], outbox: Connection) -> None:
    try:
        result = work(lambda value: outbox.send(("said", value)))
        outbox.send(("done", result))
    except BaseException:  # noqa: BLE001 - the parent is told, whatever it was
        outbox.send(("error", traceback.format_exc()))
    finally:
        os._exit(0)


@contextmanager
def forks() -> Iterator[Callable[..., Forked]]:
    """Start children with the function that this yields; what still runs at the end is killed."""
    with ExitStack() as stack:

        def start(work: Callable[[Callable[[object], None]], object]) -> Forked:
            child = Forked(work)
            stack.callback(child.end)
            return child

        yield start


def elsewhere(work: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - its result
    """Return what a function returns in a child process."""
    with forks() as start:
        return start(lambda _: work()).hear(seconds)


def together(*works: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> list[Any]:
    """Run each in a child process, all at the same time, and return what they returned."""
    reader, writer = os.pipe()

    def at_the_gate(work: Callable[[], object], _: object) -> object:
        os.close(writer)
        os.read(reader, 1)  # until the last process has closed its end
        return work()

    with forks() as start:
        children = [start(partial(at_the_gate, work)) for work in works]
        os.close(writer)
        os.close(reader)
        return [child.hear(seconds) for child in children]
