"""The guard of a run, in one process and in several: what a test leaves fails the run, is named, and goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import oracle

ROOT = Path(__file__).parents[2]
#: So that what is left is believed at once.
QUICK = "from tests.support import guard\nguard.SETTLE_SECONDS = 0.1\n"
DEVICE = """
from tests.support.oracle import losetup_attach
from tests.support.rig import filled
def test_it(tmp_path):
    losetup_attach(filled(tmp_path / "left"))
"""
MOUNT = """
from tests.support.oracle import run
def test_it(tmp_path):
    (tmp_path / "left").mkdir()
    run("mount", "-t", "tmpfs", "none", tmp_path / "left")
"""
DESCRIPTOR = """
import os
def test_it():
    os.open("/dev/full", os.O_RDONLY)
"""
CRASH = f"{DEVICE}    import os; os._exit(1)\n"
NOTHING = "def test_it(tmp_path):\n    pass\n"


def _run(folder: Path, test: str, processes: int) -> subprocess.CompletedProcess[str]:
    """Run pytest with our conftest on one test, and one that does nothing."""
    suite = folder / "suite"
    suite.mkdir()
    (suite / "test_left.py").write_text(test)
    (suite / "test_nothing.py").write_text(NOTHING)
    (suite / "quick.py").write_text(QUICK)
    command = ["-p", "tests.conftest", "-p", "quick", "-p", "no:cacheprovider", "-n", str(processes)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *command, "--rootdir", suite, "--basetemp", folder / "base", suite],
        cwd=suite,
        env={**environment, "PYTHONPATH": f"{ROOT}:{suite}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize(
    ("test", "named"), [(DEVICE, "is bound to"), (MOUNT, "is mounted at"), (DESCRIPTOR, "open on /dev/full")]
)
def test_what_is_left_fails_the_run(tmp_path: Path, test: str, named: str, processes: int) -> None:
    """All tests pass, and the run fails."""
    done = _run(tmp_path, test, processes)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "2 passed" in done.stdout
    assert named in done.stdout.partition("LEFT BEHIND")[2]
    assert oracle.bound_below(tmp_path) == []
    assert [point for _, point in oracle.mounts() if point.is_relative_to(tmp_path)] == []


def test_what_a_process_leaves_that_crashes(tmp_path: Path) -> None:
    """It cannot say it any more: the one that gave it the tests looks."""
    done = _run(tmp_path, CRASH, 2)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "is bound to" in done.stdout.partition("LEFT BEHIND")[2]
    assert oracle.bound_below(tmp_path) == []


@pytest.mark.parametrize("processes", [0, 2])
def test_a_run_that_leaves_nothing(tmp_path: Path, processes: int) -> None:
    """It succeeds."""
    done = _run(tmp_path, NOTHING, processes)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "LEFT BEHIND" not in done.stdout
