"""A program is started, or it is not: no interruption leaves one that nobody knows of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel.starting import Starting

if TYPE_CHECKING:
    from pytest_mock import MockerFixture


def nothing(_: object) -> None:
    """End nothing."""


def test_it_returns_what_was_started() -> None:
    """And ends it when it is told to, once."""
    ended: list[int] = []
    starting = Starting(lambda: 4711, ended.append)
    assert starting.start() == 4711
    assert ended == []
    starting.end()
    starting.end()
    assert ended == [4711]


def test_it_raises_what_kept_it_from_starting() -> None:
    """As if it had been started here."""
    with pytest.raises(FileNotFoundError):
        Starting(lambda: subprocess.Popen(["/no/such/program"]), nothing).start()


INTERRUPTED = textwrap.dedent("""
    import os, signal, subprocess, sys, time
    from ntt_loops._kernel import commands
    popen = subprocess.Popen
    def interrupted(*arguments, **options):
        child = popen(["sleep", "60"], **options)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGINT)  # between the start and its return
        time.sleep(0.1)
        return child
    subprocess.Popen = interrupted
    commands.umount(b"/nowhere", within=30)
""")


def test_an_interrupt_while_a_program_starts_ends_it() -> None:
    """A Ctrl-C comes after the fork and before its pid is noted: the program does not go on by itself."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == -signal.SIGINT, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_one_that_is_ended_before_its_start_is_not_started(mocker: MockerFixture) -> None:
    """The interruption comes before the other thread has begun."""
    mocker.patch.object(threading.Event, "wait", side_effect=KeyboardInterrupt)
    threads: list[threading.Thread] = []
    mocker.patch.object(threading.Thread, "start", autospec=True, side_effect=threads.append)
    started: list[int] = []
    starting = Starting(lambda: started.append(1), nothing)
    with pytest.raises(KeyboardInterrupt):
        starting.start()
    starting.end()
    threads[0].run()
    assert started == []


def test_without_another_thread_it_is_started_here(mocker: MockerFixture) -> None:
    """At the end of the interpreter there are no new threads; a ``with`` block may be left then."""
    mocker.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread"))
    assert Starting(threading.get_ident, nothing).start() == threading.get_ident()
