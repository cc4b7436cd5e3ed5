"""Processes that need not exist."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

PID_NAMESPACE = 1
OWN_COMMAND = "python3"


class Processes:
    """Who lives. The process that runs the test is there from the start, others come as they are named."""

    def __init__(self) -> None:
        self._living: dict[int, Process] = {}
        self._commands: dict[int, str] = {}
        self._births: dict[int, int] = {}
        self._thread = threading.local()

    def current(self) -> Process:
        """Return the process that this thread plays."""
        pid: int | None = getattr(self._thread, "pid", None)
        return self.living(os.getpid() if pid is None else pid, OWN_COMMAND)

    def living(self, pid: int, command: str) -> Process:
        """Return the living process of that pid, a new one where there is none: a pid comes back, a start time not."""
        if pid not in self._living:
            self._births[pid] = self._births.get(pid, 0) + 1
            self._living[pid] = Process(pid, self._births[pid], PID_NAMESPACE)
            self._commands[pid] = command
        return self._living[pid]

    def is_alive(self, process: Process) -> bool | None:
        """Whether that very process lives; None where it cannot be seen."""
        if process.pid_namespace != PID_NAMESPACE:
            return None
        return self._living.get(process.pid) == process

    def command(self, pid: int) -> str:
        """Return its command name, empty where it is gone."""
        self.current()
        return self._commands[pid] if pid in self._living else ""

    def kill(self, pid: int) -> None:
        """End it."""
        self._living.pop(pid, None)

    @contextmanager
    def played(self, process: Process) -> Iterator[None]:
        """Make this thread that process."""
        before: int | None = getattr(self._thread, "pid", None)
        self._thread.pid = process.pid
        try:
            yield
        finally:
            self._thread.pid = before
