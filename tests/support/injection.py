"""One system call of a child goes wrong: strace(1) kills the process at it, or makes it fail.

No hook in the library is needed, so no step is forgotten as the code changes: which calls there are is read off a run
that nothing was done to.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.support.forked import PATIENCE_SECONDS, Forked, forks
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: What a child says of an end that is no error.
DONE: Final = "done"
_CALL: Final = re.compile(r"^(\w+)\((.*)$")
#: Looked up by the child right before and right after its work.
_BEGIN: Final = "/the-work-begins"
_END: Final = "/the-work-ends"


class Step(NamedTuple):
    """A system call of a run: the first, second, ... of that name."""

    call: str
    occurrence: int
    #: What strace wrote of it, for messages.
    text: str

    def __str__(self) -> str:
        return f"{self.call}#{self.occurrence}({self.text[:90]}"


class Ended(NamedTuple):
    """How a child ended."""

    #: ``done``, the name of the exception's class with its module, or None where the child was killed.
    outcome: str | None
    message: str


def steps_of(work: Callable[[], object], log: Path) -> list[Step]:
    """Run ``work`` in a child, untouched, and return the system calls that it made."""
    ended = _run(work, log)
    assert ended.outcome == DONE, ended
    return list(_steps(log.read_text(errors="replace")))


def killed_at(step: Step, signal: str, work: Callable[[], object], log: Path) -> Ended:
    """Run ``work`` in a child that gets a signal (``KILL``, ``TERM``, ``INT``) as it enters that call."""
    return _run(work, log, f"--inject={step.call}:signal={signal}:when={step.occurrence}")


def failed_at(step: Step, error: str, work: Callable[[], object], log: Path) -> Ended:
    """Run ``work`` in a child for which that call is not made and fails with ``error`` (``EIO``)."""
    return _run(work, log, f"--inject={step.call}:error={error}:when={step.occurrence}")


def _run(work: Callable[[], object], log: Path, *options: str) -> Ended:
    reader, gate = os.pipe()
    with forks() as start:
        child = start(partial(_gated, work, reader, gate))
        os.close(reader)
        child.hear()
        with _traced(child, log, *options) as strace:
            os.close(gate)
            try:
                outcome, message = child.hear()  # what it says, or where that was what failed, its result
            except EOFError:
                outcome, message = None, "killed"
            child.wait()
            strace.wait(PATIENCE_SECONDS)
    return Ended(outcome, message)


def _gated(work: Callable[[], object], reader: int, gate: int, say: Callable[[object], None]) -> tuple[str | None, str]:
    """In the child: wait until it is traced, do the work, say what came of it.

    The work may make fewer calls than when it was listed, since others use the machine; then it is our own write that
    fails, or is interrupted. So it is made a second time: the result is said, and returned.
    """
    os.close(gate)
    say("ready")
    select.select([reader], [], [])  # no call that is ever injected: it is begun again when the tracer comes
    outcome = _outcome(work)
    with suppress(OSError, KeyboardInterrupt):
        say(outcome)
    return outcome


def _outcome(work: Callable[[], object]) -> tuple[str | None, str]:
    try:
        os.access(_BEGIN, os.F_OK)
        work()
        os.access(_END, os.F_OK)
    except BaseException as error:  # noqa: BLE001 - the parent judges it
        return f"{type(error).__module__}.{type(error).__name__}", str(error)
    return DONE, ""


def _traced(child: Forked, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """Attach strace(1) to a child that waits, and return once it is; what the child starts is not traced.

    strace(1) seizes the child, and only some time later stops it to see its calls. From then on the call in which the
    child waits is in the log.
    """
    log.unlink(missing_ok=True)
    command = [require_tool("strace"), "-qq", "-o", str(log), *options, "-p", str(child.pid)]
    strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not log.exists() or log.stat().st_size == 0:
        if strace.poll() is not None or time.monotonic() > deadline:
            child.kill()
            _, said = strace.communicate()
            raise AssertionError(f"strace does not trace: {os.fsdecode(said)}")
        time.sleep(0.001)
    return strace


def _steps(log: str) -> Iterator[Step]:
    """Yield the calls of the work. Those before it are counted, since strace(1) counts them, too."""
    seen: Counter[str] = Counter()
    is_work = False
    for found in filter(None, map(_CALL.match, log.splitlines())):
        call, text = found[1], found[2]
        seen[call] += 1
        if _END in text:
            return
        if is_work:
            yield Step(call, seen[call], text)
        is_work = is_work or _BEGIN in text
