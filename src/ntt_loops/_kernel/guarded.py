"""Calls that may never return, made in a child process (F21).

The time of a call begins when its child says that it makes it now: how long a loaded machine takes to start a process
says nothing about the storage. The child is killed at its deadline. One that even SIGKILL does not end - it sleeps in
the kernel - is left behind: it holds nothing but a descriptor of the device, and goes when the storage answers or is
taken away.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._kernel.descriptors import above_stdio
from ntt_loops._kernel.protocol import StuckError
from ntt_loops._kernel.starting import Starting

if TYPE_CHECKING:
    import io

_CHILD = str(Path(__file__).with_name("guarded_child.py"))
#: A call gets at least this long, also past the deadline of what it is made for.
SHORTEST_SECONDS = 0.25
#: A child that has not started by then will not.
START_SECONDS = 10.0
#: subprocess takes no endless wait.
LONGEST_SECONDS = 1e6
#: Processes that outlived their deadline, which are reaped when they end.
_left_behind: list[int] = []


def call(operation: str, *arguments: str, descriptor: io.FileIO | None = None, within: float) -> bytes:
    """Make one call in a child; OSError as if it were made here, StuckError when it does not end in time."""
    program = Starting(lambda: _start(operation, *arguments, descriptor=descriptor), leave_behind)
    try:
        return _outcome(program.start(), operation, within)
    finally:
        program.end()


def close(descriptor: io.FileIO, *, within: float) -> None:
    """Let a child make the last close: this process's own is then never the one that writes back and unbinds."""
    program = Starting(lambda: _start("hold", descriptor=descriptor), leave_behind)
    try:
        child = program.start()
        descriptor.close()
        _outcome(child, "close", within)
    finally:
        program.end()


def _start(operation: str, *arguments: str, descriptor: io.FileIO | None) -> subprocess.Popen[bytes]:
    _reap()
    with contextlib.ExitStack() as stack:
        passed = () if descriptor is None else (stack.enter_context(above_stdio(descriptor)).fileno(),)
        command = [sys.executable, "-I", "-S", _CHILD, operation, *map(str, passed), *arguments]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=passed,
            process_group=0,  # a Ctrl-C at the terminal is for this process: an fsync cut short would read as an error
        )


def _outcome(child: subprocess.Popen[bytes], operation: str, within: float) -> bytes:
    try:
        _wait_for_the_start(child, operation)
        output, _ = child.communicate(b"\n", timeout=min(max(within, SHORTEST_SECONDS), LONGEST_SECONDS))
    except subprocess.TimeoutExpired:
        message = f"{operation} did not return within {within:.1f} s: the storage does not answer"
        raise StuckError(message) from None
    kind, _, rest = output.partition(b" ")
    if kind == b"ok":
        return bytes.fromhex(rest.decode("ascii"))
    if kind != b"error":  # killed by somebody: nothing is known of the call
        message = f"{operation} was interrupted"
        raise StuckError(message)
    raise OSError(int(rest), os.strerror(int(rest)))


def _wait_for_the_start(child: subprocess.Popen[bytes], operation: str) -> None:
    """Take the byte that a child writes before its call; one that was killed before writes none, nor any outcome."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe: mypy does not know
    answer = select.poll()
    answer.register(child.stdout, select.POLLIN)
    if not answer.poll(START_SECONDS * 1000):
        message = f"the process for {operation} did not start within {START_SECONDS:.0f} s"
        raise StuckError(message)
    os.read(child.stdout.fileno(), 1)


def leave_behind(child: subprocess.Popen[bytes]) -> None:
    """Kill a child, unless it has ended, and do not wait: even SIGKILL may not end it now."""
    child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    if child.returncode is None:
        child.returncode = -signal.SIGKILL  # nobody is to wait for it, nor to be warned that it still runs
        _left_behind.append(child.pid)
    _reap()


def _reap() -> None:
    _left_behind[:] = [pid for pid in _left_behind if not _is_reaped(pid)]


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # somebody else waits for all children
        return True
