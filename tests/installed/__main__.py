"""Try what users install: ``python -m tests.installed dist PYTHON...``, once for each interpreter.

The sdist is unpacked without its ``src``, the wheel is installed into an empty environment, and from there run: the
unit and the contract suite, the demo, and both type checkers over a file that uses every public name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

CHECKERS = ("mypy", "pyright[nodejs]")
#: Where the package must not come from, and where it must.
PLACE = "import pathlib, sys, ntt_loops; sys.exit(not pathlib.Path(ntt_loops.__file__).is_relative_to(sys.prefix))"
TYPING = "tests/typing/public_api.py"


class Trial(NamedTuple):
    """One interpreter's environment, beside what the sdist holds."""

    python: Path
    folder: Path

    def run(self, *command: str) -> bool:
        """Run a command of the environment; what it prints is shown where it failed."""
        done = subprocess.run(
            [self.python.with_name(command[0]), *command[1:]],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        last = (done.stdout.strip().splitlines() or ["no output"])[-1].strip()
        print(f"  {'ok    ' if done.returncode == 0 else 'FAILED'} {' '.join(command)}: {last}", flush=True)
        if done.returncode != 0:
            print(done.stdout)
        return done.returncode == 0


def prepare(interpreter: str, wheel: Path, sdist: Path, folder: Path) -> Trial:
    """Unpack, remove the sources, make an empty environment and install the wheel there."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    shutil.rmtree(unpacked / "src")
    subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True)
    trial = Trial(folder / "venv/bin/python", unpacked)
    pip = [str(trial.python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip>=25.1"], check=True)
    subprocess.run([*pip, f"{wheel}[cli,dask,metrics,pytest]", "--group", "test", *CHECKERS], cwd=unpacked, check=True)
    return trial


def try_out(trial: Trial) -> bool:
    """Run all of it; return whether all went well."""
    results = [
        trial.run("python", "-c", PLACE),
        trial.run("ntt-loops", "--version"),
        trial.run("python", "-m", "pytest", "-q", "tests/unit", "tests/contract"),
        trial.run("python", "examples/pipeline.py"),
        trial.run("mypy", "--strict", "--config-file=", TYPING),
        trial.run("pyright", "--level", "error", "--pythonpath", str(trial.python), TYPING),
    ]
    return all(results)


def main(folder: Path, interpreters: list[str]) -> int:
    """Return the exit status: 1 where anything failed on any interpreter."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    failed = []
    for interpreter in interpreters:
        version = subprocess.run([interpreter, "--version"], stdout=subprocess.PIPE, text=True, check=False)
        if version.returncode != 0:
            print(f"{interpreter}: not installed")
            failed.append(interpreter)
            continue
        print(f"{version.stdout.strip()} ({interpreter})", flush=True)
        with tempfile.TemporaryDirectory(prefix="ntt-loops-installed-") as place:
            if not try_out(prepare(interpreter, wheel.resolve(), sdist.resolve(), Path(place))):
                failed.append(interpreter)
    print(f"failed: {', '.join(failed)}" if failed else "all went well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
