"""The command line as a process, with pipes or on a terminal of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The console script that the package installs.
NTT_LOOPS: Final = str(Path(sysconfig.get_path("scripts")) / "ntt-loops")
#: Only what hangs takes so long.
SECONDS: Final = 180.0
COLUMNS: Final = 80

CTRL_C: Final = b"\x03"
CTRL_Z: Final = b"\x1a"

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def ntt_loops(*arguments: str | os.PathLike[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with pipes."""
    return subprocess.run(
        [NTT_LOOPS, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def started(*arguments: str | os.PathLike[str]) -> Iterator[subprocess.Popen[str]]:
    """Start it with a pipe as stdout, in a process group of its own; what is left of that at the end is killed."""
    with subprocess.Popen(
        [NTT_LOOPS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            yield process
        finally:
            _kill_group(process.pid)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


class Terminal:
    """A command that has a terminal of its own, and what it showed there."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start it as the leader of a session, with that terminal."""
        self._master, slave = os.openpty()
        size = ("stty", "cols", str(COLUMNS), "rows", "24")
        subprocess.run(size, stdin=slave, check=True)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        self._shown = b""

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def wait_for(self, text: str) -> None:
        """Read until it shows a text."""
        deadline = time.monotonic() + SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.shown}"
            self._read()

    def end(self) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + SECONDS
        while self._read() and time.monotonic() < deadline:
            pass
        return self.process.wait(SECONDS)

    @property
    def raw(self) -> str:
        """What was shown, colours included."""
        return self._shown.decode(errors="surrogateescape").replace("\r\n", "\n")

    @property
    def shown(self) -> str:
        """What was shown, without the colours."""
        return _COLOUR.sub("", self.raw)

    def close(self) -> None:
        """Kill what is left, and hang up."""
        _kill_group(self.process.pid)
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            self._shown += os.read(self._master, 4096)
        except OSError:  # EIO: nobody has it open any more
            return False
        return True


@contextmanager
def terminal(*command: str | os.PathLike[str], **environment: str) -> Iterator[Terminal]:
    """Run a command on a terminal of 80 columns."""
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    made = Terminal([os.fspath(word) for word in command], {**plain, "TERM": "xterm-256color", **environment})
    try:
        yield made
    finally:
        made.close()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


#: A child for ``run`` that says what it gets: "ready", then a line for each signal, until SIGTERM, or a line on fd 9.
LISTENER: Final = (
    sys.executable,
    "-uc",
    """
import os, signal, sys, time
for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), lambda number, _: print(signal.Signals(number).name))
device = open(sys.argv[1], "rb") if len(sys.argv) > 1 else None
print("ready", *sys.argv[1:])
end = time.monotonic() + 60
while time.monotonic() < end and not os.path.exists(os.environ.get("END_FILE", "/nonexistent")):
    time.sleep(0.01)
sys.exit(3)
""",
)
