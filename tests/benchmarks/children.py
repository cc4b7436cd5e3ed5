"""Contenders that are other programs: children that measure themselves, and commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from tests.benchmarks.measuring import Contender, timed
from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE: Final = Path(__file__).parent
#: Debian's own Python: the one that python3-gi belongs to.
SYSTEM_PYTHON: Final = "/usr/bin/python3"


@contextlib.contextmanager
def answering(name: str, command: list[str], times: int) -> Iterator[Contender]:
    """A child that is told a number of cycles, and answers with the nanoseconds they took."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None

        def sample() -> float:
            stdin.write(f"{times}\n")
            return int(stdout.readline()) / times / 1000

        yield Contender(name, sample)
        stdin.close()


@contextlib.contextmanager
def in_c(name: str, image: Path, folder: Path, times: int) -> Iterator[Contender]:
    """bare.c, compiled with cc; missing where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        yield Contender(name, None, "no C compiler")
        return
    program = folder / "bare"
    subprocess.run([compiler, "-O2", "-o", program, HERE / "bare.c"], check=True)
    with answering(name, [str(program), str(image)], times) as contender:
        yield contender


@contextlib.contextmanager
def by_libblockdev(name: str, image: Path, times: int) -> Iterator[Contender]:
    """libblockdev, where the system's Python has its bindings."""
    command = [SYSTEM_PYTHON, str(HERE / "blockdev_child.py"), str(image)]
    if not _works(command):
        yield Contender(name, None, "not installed")
        return
    with answering(name, command, times) as contender:
        yield contender


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def losetup_cycle(image: Path) -> None:
    """``losetup -f --show -r -P`` and ``losetup -d``, until no other process is faster."""
    done = _losetup("-f", "--show", "-r", "-P", str(image))
    while done.returncode != 0 and any(reason in done.stderr for reason in oracle.LOST_RACES):
        done = _losetup("-f", "--show", "-r", "-P", str(image))
    done.check_returncode()
    _losetup("-d", done.stdout.strip()).check_returncode()


def _losetup(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["losetup", *arguments], capture_output=True, text=True, check=False)


def by_losetup(name: str, image: Path) -> Contender:
    """losetup, as a script calls it."""
    return Contender(name, timed(lambda: losetup_cycle(image)))


#: The loops that scripts had, but for two things that would hurt others here: they unmounted ``"$LOOP"*``, which is
#: /dev/loop10 for /dev/loop1 as well, and searched the whole host for "(deleted)".
BASH_RELEASE: Final = """losetup -l | grep "$1" | awk '{print $1}' | while read -r LOOP; do losetup -d "$LOOP"; done"""
BASH_SWEEP: Final = """losetup -l | grep "$1/.*(deleted)" | awk '{print $1}' | xargs -r -n 1 losetup -d"""
BASH_LOOK: Final = """losetup -l | grep "$1/.*(deleted)" | wc -l"""


def bash(script: str, argument: str) -> Callable[[], object]:
    """Return a run of a script."""
    command = ["bash", "-c", script, "bash", argument]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@attrs.frozen
class Starts:
    """Runs of new processes; each module is compiled by the first one, as pip does when it installs."""

    folder: Path

    def python(self, code: str) -> Callable[[], object]:
        """Return a run of a new interpreter."""
        return self._run([sys.executable, "-c", code])

    def console_script(self, *arguments: str) -> Callable[[], object]:
        """Return a run of ``ntt-loops``, with a ledger of its own."""
        return self._run([str(Path(sys.executable).with_name("ntt-loops")), *arguments])

    def _run(self, command: list[str]) -> Callable[[], object]:
        own = {"NTT_LOOPS_RUN_DIR": str(self.folder / "run"), "PYTHONPYCACHEPREFIX": str(self.folder / "pycache")}
        environment = os.environ | own
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
