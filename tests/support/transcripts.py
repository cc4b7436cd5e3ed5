"""Sessions as a document shows them: commands behind a "$ ", and what they print below."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

#: What differs from one run to the next, and what stands for it.
_CHANGING: Final = (
    (r"/dev/loop\d+", "/dev/loopN"),
    (r"\(pid \d+\)", "(pid N)"),
    (r"\bkill \d+", "kill N"),
    (r"bash: line \d+: +\d+ Killed.*", "Killed"),
    (r"[ \t]+", " "),
)
_MEDIUM: Final = re.compile(r"\b(?:disk|zip)-\d+\b")
#: A line that stands for any number of lines.
_ANYTHING: Final = "..."
#: The folder that the reader is in, as the documents call it.
FOLDER: Final = "/root/leak"
_SECONDS: Final = 120


class Step(NamedTuple):
    """A command, and what it is to print."""

    command: str
    printed: str


def steps(session: str) -> list[Step]:
    """Split a session at its prompts."""
    parts = re.split(r"^\$ ", session, flags=re.MULTILINE)
    assert not parts[0].strip(), f"no prompt before {parts[0]!r}"
    return [Step(*part.partition("\n")[::2]) for part in parts[1:]]


def unique(text: str, mark: str) -> str:
    """Give the media of a document names that no other run has: a release by id means those of everybody."""
    return _MEDIUM.sub(rf"\g<0>-{mark}", text)


def play(session: list[Step], folder: Path) -> list[str]:
    """Run the commands, one after the other in one shell, and return what each prints."""
    mark = "-- ntt_loops: the next command --"
    script = "\n".join(f"{step.command}\nprintf '%s\\n' '{mark}'" for step in session)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}\nkill $(jobs -p) 2>/dev/null; wait"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout.split(f"{mark}\n")[: len(session)]


def plain(text: str, folder: Path | str = FOLDER) -> str:
    """Return a text without what differs from one run to the next."""
    text = text.replace(str(folder), FOLDER)
    for pattern, instead in _CHANGING:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.strip() for line in text.splitlines())


def is_as_shown(printed: str, shown: str, folder: Path) -> bool:
    """Whether a command printed what the document shows."""
    lines = [".*" if line == _ANYTHING else re.escape(line) for line in plain(shown).splitlines()]
    return re.fullmatch("\n".join(lines), plain(printed, folder), re.DOTALL) is not None
