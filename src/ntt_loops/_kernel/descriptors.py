"""Descriptors that neither a signal nor a fork can lose.

A bare int from ``os.open`` is lost when KeyboardInterrupt arrives before it is stored, and with it the device it keeps
bound. So a descriptor is born as an ``io.FileIO`` inside one C call: from its first moment some reference, or its
deallocation, closes it.

A forked child inherits every descriptor, O_CLOEXEC or not, and would keep the device bound after its parent has closed
it (F13). So each is registered, and a child closes them all before it runs anything else, those too that another thread
was just opening.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import threading
import weakref
from itertools import starmap

#: Held from a copy's birth until it is registered, and while a child is forked off.
_lock = threading.RLock()
#: Weak references, each of which takes itself out of the set when its descriptor is collected: a WeakSet does the same
#: in Python code, at ten times the cost.
_descriptors: set[weakref.ref[io.FileIO]] = set()
#: What is being opened now. The lock is not held meanwhile: an open may hang, and must not stop threads or forks.
_opening: list[str | bytes] = []
#: Marks what is opened here: open(2) keeps this flag but gives it no meaning, and nobody else sets it on a file.
_MARK = os.O_ASYNC


def open_descriptor(path: str | bytes | os.PathLike[str], flags: int, mode: int = 0o600) -> io.FileIO:
    """Open ``path`` with O_CLOEXEC and return a registered descriptor; ``os.read`` and the like go on its number."""
    path = os.fspath(path)
    _opening.append(path)  # one step for other threads, and for a fork
    try:
        # map and starmap are C: between open(2) and the FileIO that owns the number no Python code runs.
        descriptor = next(map(io.FileIO, starmap(os.open, [(path, flags | os.O_CLOEXEC | _MARK, mode)])))
        _register(descriptor)
    except IsADirectoryError as error:
        # FileIO refuses a directory without closing the number it was given, and names it as the error's file.
        if isinstance(error.filename, int):
            os.close(error.filename)
        raise IsADirectoryError(error.errno, error.strerror, path) from None
    finally:
        _opening.remove(path)
    descriptor.name = path
    return descriptor


def above_stdio(descriptor: io.FileIO) -> io.FileIO:
    """Return a copy with a number that a child's standard streams do not take; a daemon may have closed its own."""
    with _lock:
        copy = next(map(io.FileIO, starmap(fcntl.fcntl, [(descriptor.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)])))
        copy.name = descriptor.name
        _register(copy)
    return copy


def open_numbers() -> list[int]:
    """Return the descriptor numbers that are open now, for tests of leaks."""
    return sorted(one.fileno() for one in _registered() if not one.closed)


def _register(descriptor: io.FileIO) -> None:
    _descriptors.add(weakref.ref(descriptor, _descriptors.discard))


def _registered() -> list[io.FileIO]:
    return [descriptor for reference in list(_descriptors) if (descriptor := reference()) is not None]


def _close_in_child() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock is held by a thread that does not exist here
    _lock = threading.RLock()
    for descriptor in _registered():
        descriptor.close()
    for number in _just_opened():
        os.close(number)
    _opening.clear()


def _just_opened() -> list[int]:
    """Return the numbers of what another thread was opening when this child was forked off: nobody here owns them."""
    paths = {os.fsencode(path) for path in _opening}
    if not paths:
        return []
    numbers = []
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}".encode()) in paths and _is_marked(name):
                numbers.append(int(name))
    return numbers


def _is_marked(number: str) -> bool:
    """Whether a descriptor was opened here, and not by whoever else has the same file open."""
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii") as facts:
        return any(line.startswith("flags:") and int(line.split()[1], 8) & _MARK for line in facts)


def _hold_before_fork() -> None:
    _lock.acquire()


def _go_on_in_parent() -> None:
    _lock.release()


os.register_at_fork(before=_hold_before_fork, after_in_parent=_go_on_in_parent, after_in_child=_close_in_child)
