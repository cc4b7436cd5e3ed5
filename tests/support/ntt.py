"""The NTT programs in examples/ntt, run as processes, with programs of the system replaced where a test says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples" / "ntt"
#: For a loaded machine; a program that hangs fails its test by this.
LONGEST_SECONDS: Final = 60.0


def start(
    name: str, *arguments: str | os.PathLike[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a program of examples/ntt, or another by its path, in a process group of its own, as a terminal does."""
    interpreter = ["bash"] if name.endswith(".sh") else [sys.executable, "-X", "dev"]
    return subprocess.Popen(
        [*interpreter, EXAMPLES / name, *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_changed(
    folder: Path,
    change: str,
    name: str,
    *arguments: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a program with some Python run before it, in the same process."""
    script = folder / "changed.py"
    lines = ["import runpy, sys", f"sys.path.insert(0, {str(ROOT)!r})", change]
    run_it = f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')"
    script.write_text("\n".join([*lines, run_it, ""]))
    return start(str(script), *arguments, environment=environment)


def run(
    name: str, *arguments: str | os.PathLike[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    with start(name, *arguments, environment=environment) as process:
        output, errors = process.communicate(timeout=LONGEST_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def replaced(folder: Path, name: str, script: str) -> dict[str, str]:
    """Return an environment in which a shell script runs for a program; it knows the real one as "$REAL"."""
    real = oracle.run("sh", "-c", f"command -v {name}").strip()
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nREAL={real}\n{script}\nexec "$REAL" "$@"\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def stopped_at(folder: Path, name: str, word: str) -> dict[str, str]:
    """Return an environment in which a program, called with this word, writes its pid to a file and does no more."""
    note = folder / "stopped"
    return replaced(
        folder,
        name,
        f"""case "$*" in
*"{word}"*) echo $$ >"{note}.new"; mv "{note}.new" "{note}"; exec sleep 600;;
esac""",
    )


def wait_for(path: Path) -> None:
    """Wait until a script has made a file."""
    oracle.wait_until(path.exists, f"{path} is made", seconds=LONGEST_SECONDS)
