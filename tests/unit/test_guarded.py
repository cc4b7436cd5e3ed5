"""Calls that may never return, in a child process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops._kernel import StuckError, guarded
from ntt_loops._kernel.descriptors import open_descriptor
from tests.support import rawloop

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


def test_a_call_that_answers_is_as_if_made_here(tmp_path: Path) -> None:
    """Both stat and realpath in a child return what they do here."""
    found = tmp_path.stat()
    assert guarded.call("stat", bytes(tmp_path).hex(), within=30) == f"{found.st_dev} {found.st_ino}".encode()
    link = tmp_path / "link"
    link.symlink_to("gone/\n \udcff")
    assert guarded.call("realpath", bytes(link).hex(), within=30) == os.path.realpath(bytes(link))


def test_an_error_keeps_its_errno(tmp_path: Path) -> None:
    """What fails in the child fails here with the same errno."""
    with pytest.raises(FileNotFoundError):
        guarded.call("stat", bytes(tmp_path / "none").hex(), within=30)
    with (
        pytest.raises(OSError, match="Inappropriate ioctl") as caught,
        open_descriptor("/dev/null", os.O_RDONLY) as file,
    ):
        guarded.call("ioctl", "1", "00", descriptor=file, within=30)
    assert caught.value.errno == errno.ENOTTY


def _wait_until_reaped() -> None:
    """What was left behind was killed."""

    def is_reaped() -> bool:
        guarded._reap()
        return guarded._left_behind == []

    rawloop.wait_until(is_reaped, "what was left behind has ended")


def test_a_call_that_does_not_return_is_stuck_and_its_child_is_killed(tmp_path: Path) -> None:
    """Opening a fifo that nobody reads from waits for ever: after the time it is StuckError, and no child is left."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(StuckError):
        guarded.call("status", str(fifo), "0", "0", within=0.2)
    _wait_until_reaped()


_SLOW = """
import runpy, sys, time
time.sleep(0.6)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def slow_start(tmp_path: Path, mocker: MockerFixture) -> None:
    """A machine on which a process takes its time to start."""
    program = tmp_path / "slow.py"
    program.write_text(_SLOW)
    real = subprocess.Popen

    def popen(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        place = command.index(guarded._CHILD)
        return real([*command[:place], str(program), *command[place:]], **how)

    mocker.patch.object(subprocess, "Popen", popen)


@pytest.mark.usefixtures("slow_start")
def test_a_child_that_starts_slowly_is_no_storage_that_does_not_answer(tmp_path: Path) -> None:
    """The time of a call is that of the call: a loaded machine alone has no device called stuck."""
    assert guarded.call("stat", bytes(tmp_path).hex(), within=0)
    path = tmp_path / "file"
    path.touch()
    guarded.close(open_descriptor(path, os.O_RDONLY), within=0)


@pytest.mark.usefixtures("slow_start")
def test_a_child_that_does_not_start_is_told(tmp_path: Path, mocker: MockerFixture) -> None:
    """It is killed, and the storage is not blamed for it."""
    mocker.patch.object(guarded, "START_SECONDS", 0.1)
    with pytest.raises(StuckError, match="the process for stat did not start"):
        guarded.call("stat", bytes(tmp_path).hex(), within=30)
    _wait_until_reaped()


def test_an_interrupt_leaves_no_child(tmp_path: Path, mocker: MockerFixture) -> None:
    """Wherever it comes: right after the start, or while the call is waited for."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for moment in ("_wait_for_the_start", "_outcome"):
        mocker.patch.object(guarded, moment, side_effect=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            guarded.call("status", str(fifo), "0", "0", within=30)
        mocker.stopall()
        _wait_until_reaped()


def test_who_was_left_behind_gives_no_warning(tmp_path: Path) -> None:
    """It is killed, and on its way: nothing that the end of the program should speak of."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = f"""
import contextlib
from ntt_loops._kernel import StuckError, guarded
guarded._is_reaped = lambda pid: False
with contextlib.suppress(StuckError):
    guarded.call("status", {str(fifo)!r}, "0", "0", within=0.2)
assert guarded._left_behind
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_child_makes_the_last_close(tmp_path: Path) -> None:
    """After a guarded close neither this process nor the child has the file open."""
    path = tmp_path / "file"
    path.touch()
    file = open_descriptor(path, os.O_RDONLY)
    number = file.fileno()
    guarded.close(file, within=30)
    assert file.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
