"""Starting a program so that no interruption loses it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Program = TypeVar("Program")


class Starting(Generic[Program]):
    """A program that is started by another thread, and that can be ended from the first moment on.

    A signal's handler runs in the main thread between any two of its steps: also between the start of a program and the
    note of who it is, after which nobody could end it. No handler runs in another thread.
    """

    def __init__(self, program: Callable[[], Program], end: Callable[[Program], object]) -> None:
        self._program = program
        self._end = end
        self._lock = threading.Lock()
        self._is_wanted = True
        self._started: list[Program] = []
        self._error: BaseException | None = None
        self._is_over = threading.Event()

    def start(self) -> Program:
        """Start it, once, and return it; raise what kept it from starting."""
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # there are no more threads: too many, or the interpreter is about to end
            self._run()
        self._is_over.wait()
        if self._error is not None:
            raise self._error
        return self._started[0]

    def _run(self) -> None:
        try:
            with self._lock:
                if self._is_wanted:
                    self._started.append(self._program())
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            self._error = error
        finally:
            self._is_over.set()

    def end(self) -> None:
        """End it if it is started, and start it no more."""
        with self._lock:
            self._is_wanted = False
            while self._started:
                self._end(self._started.pop())
