"""A checkup of this very machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops import Loops
from ntt_loops._checkup import trial
from tests.support import oracle, rawloop
from tests.support.children import as_nobody
from tests.support.forked import forks

if TYPE_CHECKING:
    import pytest

NTT_LOOPS = (sys.executable, "-m", "ntt_loops")


def test_this_machine_keeps_the_promises(tmp_path: Path) -> None:
    """These tests would fail elsewhere, too; nothing is left of the trial but an empty ledger folder."""
    report = Loops(tmp_path / "run").check_machine()
    assert [one for one in report.checks if one.status == "failed"] == []
    checks = {one.name: one for one in report.checks}
    assert os.uname().release in checks["kernel"].found
    if shutil.which("mount"):
        version = re.findall(r"[\d.]+", oracle.run("mount", "--version"))[0]
        assert version in checks["mount"].found
    assert oracle.run("stat", "--file-system", "--format=%T", tmp_path).split("/")[0][:3] in checks["run_dir"].found
    device = re.findall(r"/dev/loop\d+", checks["attach"].found)
    assert len(device) == 1
    assert list((tmp_path / "run").iterdir()) == []
    assert not oracle.bound_below(Path(tempfile.gettempdir()))


def test_without_privilege_it_says_so(tmp_path: Path) -> None:
    """Which checks fail, and that it takes root; no error."""
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o777)

    def look() -> list[str]:
        tempfile.tempdir = "."
        report = Loops("own").check_machine(timeout=0)
        return [one.name for one in report.checks if one.status == "failed" and not report.keeps_promises]

    with chdir(folder):
        assert as_nobody(look) == repr(["loop-control", "privileges", "attach", "release"])


def test_killed_in_the_middle_it_leaves_what_a_sweep_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its attach and its release; the image is gone by then, so that the device is an orphan."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loops = Loops(tmp_path / "run")

    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with forks() as start:
        with monkeypatch.context() as patch:
            patch.setattr(trial, "release_device", stop)
            child = start(lambda _: loops.check_machine())
        assert child.wait() == -signal.SIGKILL
    (one,) = loops.sweep().released
    assert "ntt-loops-doctor-" in str(one.image)
    rawloop.wait_until(lambda: not oracle.bound_below(tmp_path), "it is gone")


def test_the_command_says_it_in_a_table(tmp_path: Path) -> None:
    """Status 0, and each line has its check."""
    environment = {**os.environ, "NTT_LOOPS_RUN_DIR": str(tmp_path / "run")}
    done = subprocess.run([*NTT_LOOPS, "doctor"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split()[:2] for line in done.stdout.splitlines()[1:-1] if not line.startswith(" ")]
    assert {status for status, _ in rows} <= {"ok", "warning"}
    assert "attach" in [name for _, name in rows]
