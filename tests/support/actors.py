"""Processes that use the library over one ledger folder: forked children, or played ones on the kernel in memory."""

from __future__ import annotations

import abc
import itertools
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops import LoopAttachment, LoopDevice, Loops, NttLoopsError
from tests.support.forked import Forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel

_PIDS = itertools.count(6_000_000)
#: Longer than an attach takes on a busy machine.
ATTACH_SECONDS = 60.0


class Blocks:
    """What such a process has: the library, and the ``with`` blocks that it is in."""

    def __init__(self, loops: Loops) -> None:
        """Be in none."""
        self._loops = loops
        self._open: dict[int, LoopAttachment] = {}

    def enter(self, key: int, image: Path) -> LoopDevice:
        """Enter a block."""
        attachment = self._loops.attached(image, timeout=ATTACH_SECONDS)
        device = attachment.__enter__()
        self._open[key] = attachment
        return device

    def leave(self, key: int, timeout: float) -> None:
        """Leave it, waiting so long for others."""
        attachment = self._open.pop(key)
        attachment._options = attrs.evolve(attachment._options, timeout=timeout)
        attachment.close()

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever that returns
        """Call a method of ``Loops``."""
        return getattr(self._loops, name)(*arguments, **options)


class Actor(abc.ABC):
    """One of these processes, seen from outside."""

    @abc.abstractmethod
    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever that returns
        """Let it call a method of its ``Blocks``; return or raise what that did."""

    @abc.abstractmethod
    def kill(self) -> None:
        """End it by SIGKILL."""


class PlayedActor(Actor):
    """A process of the kernel in memory."""

    def __init__(self, memory: MemoryKernel, loops: Loops) -> None:
        """Begin with a pid that nobody had."""
        self._memory = memory
        self._pid = next(_PIDS)
        self._blocks = Blocks(loops)

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever that returns
        """Do it as that process."""
        with self._memory.as_process(self._pid):
            return getattr(self._blocks, method)(*arguments, **options)

    def kill(self) -> None:
        """Close what it had open."""
        self._memory.kill(self._pid)


class ForkedActor(Actor):
    """A child of this process."""

    def __init__(self, loops: Loops) -> None:
        """Fork."""
        inbox, self._outbox = Pipe(duplex=False)
        self._child = Forked(lambda say: _serve(loops, inbox, say))
        inbox.close()

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever that returns
        """Send the question and wait for the answer."""
        self._outbox.send((method, arguments, options))
        kind, value = self._child.hear()
        if kind == "raised":
            raise value
        return value

    def kill(self) -> None:
        """Send SIGKILL and wait for its end."""
        self._child.end()
        self._outbox.close()


def _serve(loops: Loops, inbox: Connection, say: Callable[[object], None]) -> None:
    """In the child: answer until it is killed, or nobody can ask any more."""
    blocks = Blocks(loops)
    while True:
        try:
            method, arguments, options = inbox.recv()
        except EOFError:
            return
        try:
            say(("returned", getattr(blocks, method)(*arguments, **options)))
        except NttLoopsError as error:
            say(("raised", error))
