"""The main job, ``examples/pipeline.py``, on real images and real loop devices."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "examples" / "pipeline.py"
README = ROOT / "README.md"
WAYS = ("kernel", "ledger", "tag", "inode", "path", "name", "deleted")
#: By then a run is over, or it never will be.
NEVER_SECONDS = 300.0

pytestmark = pytest.mark.usefixtures("_tools")


@pytest.fixture(scope="module")
def _tools() -> None:
    """Need what the demo runs."""
    for name in ("mkfs.ext4", "blkid", "mount", "umount", "losetup", "cat"):
        require_tool(name)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what one whole run printed; judge what it left and how it ended."""
    folder = tmp_path_factory.mktemp("demo")
    with start(folder, str(PIPELINE)) as demo:
        output, errors = demo.communicate(timeout=NEVER_SECONDS)
    assert (demo.returncode, errors) == (0, "")
    assert_nothing_left(folder)
    return output


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start Python with all temporary files below a folder, in a process group of its own as a terminal does."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    # A job in the background ignores Ctrl-C, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-X", "dev", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def assert_nothing_left(folder: Path) -> None:
    """Ask sysfs, losetup and mountinfo; no file is left either."""
    rows = oracle.losetup_list("NAME,BACK-FILE")
    assert oracle.bound_below(folder) == []
    assert [row for row in rows if (row["back-file"] or "").startswith(f"{folder}/")] == []
    assert [point for _, point in oracle.mounts() if point.is_relative_to(folder)] == []
    assert list(folder.iterdir()) == []


def test_it_says_that_the_devices_are_real(whole_run: str) -> None:
    """The first line tells which kernel."""
    assert whole_run.startswith(f"On the real kernel, Linux {os.uname().release}: ")


def test_every_proof_holds(whole_run: str) -> None:
    """All five: nothing left, all accounted for, no image changed, no file lost, one failure each."""
    assert re.findall(r"^  (holds|FAILS) ", whole_run, re.MULTILINE) == ["holds"] * 5
    assert "  holds     losetup --json and mountinfo: no device and no mount is left below" in whole_run


def test_devices_went_by_every_way_there_is(whole_run: str) -> None:
    """The table has each way to find a device at least once, and as many devices gone as made."""
    rows = list(table(whole_run))
    assert len(rows) == 5
    assert [way for way in WAYS if not any(row[way] for row in rows)] == []
    for row in rows:
        assert sum(row[way] for way in WAYS) == row["with"] + row["kept"] + row["losetup"]
    assert sum(row["losetup"] for row in rows) >= 10
    assert sum(row["freed"] > 0 for row in rows) == 2


def table(output: str) -> list[Mapping[str, int]]:
    """Read the table."""
    lines = output.split("\nDevices\n")[1].splitlines()
    names = lines[1].split()[1:]
    rows = [line.split()[1:] for line in lines if re.match("[0-9a-f]{32} ", line)]
    return [dict(zip(names, (int(cell.replace("-", "0")) for cell in row), strict=True)) for row in rows]


def test_each_medium_fails_in_its_own_way_and_goes_on(whole_run: str) -> None:
    """A full disk, a device in use, a process killed by SIGKILL, an image packed twice."""
    text = re.sub(r"\n {12}", " ", whole_run)
    failed = [line.split("FAILED: ")[1] for line in text.splitlines() if "FAILED: " in line]
    full, busy, killed, twice = failed
    assert "No space left on device" in full
    assert re.search(r"still in use.* by cat \(pid \d+\)", busy)
    assert re.search(r"killed by SIGKILL while it had /dev/loop\d+ attached and mounted", killed)
    assert "did not confirm" in twice
    assert len(re.findall(r"^  again ", text, re.MULTILINE)) == 4


#: What is printed just before a moment that is worth an interruption.
MOMENTS = (
    "Medium 1:",  # an image is made
    "losetup -f --show -r -P makes",  # others' devices are there
    "Medium 2:",  # an image is mounted writable
    "and a process has it open",  # a release waits
    "FAILED: its process was killed",  # a mount without its process
    "One more:",  # orphans
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_it_leaves_nothing(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end it with 130, with all devices, mounts and files gone.

    Where this process gets no time to send the signal the demo may be through before: then it has ended well.
    """
    with start(tmp_path, str(PIPELINE)) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        if number == signal.SIGINT:
            os.killpg(demo.pid, number)  # as the terminal does
        else:
            demo.send_signal(number)
        output, errors = demo.communicate(timeout=NEVER_SECONDS)
    assert demo.returncode == 130 or (demo.returncode, "\nProofs\n" in output) == (0, True), output + errors
    assert_nothing_left(tmp_path)


WITHOUT_SWEEP = f"""
import runpy, sys
from unittest import mock
from ntt_loops import SweepReport
sys.path.insert(0, {str(ROOT)!r})
with mock.patch("examples.demo.orphans.sweep_all", return_value=[SweepReport(dry_run=False)]):
    runpy.run_path({str(PIPELINE)!r}, run_name="__main__")
"""


#: Wrapped somewhere: names of folders are longer or shorter.
TWO_ARE_LEFT = r"FAILS     losetup --json.*: not so\s+for\s+/dev/loop\d+,\s+/dev/loop\d+"


def test_a_device_that_is_left_makes_it_fail(tmp_path: Path) -> None:
    """The proof is losetup's, not the library's: orphans that no sweep took end it with 1."""
    with start(tmp_path, "-c", WITHOUT_SWEEP) as demo:
        output, errors = demo.communicate(timeout=NEVER_SECONDS)
    assert demo.returncode == 1, errors
    assert re.search(r"FAILS     losetup --json.*: not so\s+for\s+/dev/loop\d+,\s+/dev/loop\d+", output, re.DOTALL), (
        output
    )
    assert_nothing_left(tmp_path)


def test_twelve_lines_of_the_readme_run_as_they_are(tmp_path: Path) -> None:
    """The first example runs on a real device and leaves nothing."""
    code = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {**os.environ, "NTT_LOOPS_RUN_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"/dev/loop\d+ 1048576 \(\)\n", done.stdout)
    assert_nothing_left(folder)
