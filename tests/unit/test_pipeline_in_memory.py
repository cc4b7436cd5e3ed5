"""The demo without root: ``examples/pipeline.py`` on the kernel in memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.demo import choose_machine, make_medium, prove
from examples.pipeline import copy_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mock import MockerFixture

    from examples.demo import Machine, Medium

PIPELINE = Path(__file__).parents[2] / "examples" / "pipeline.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One whole run, in a temporary folder that must be empty after it."""
    folder = tmp_path_factory.mktemp("demo")
    done = run(folder)
    assert list(folder.iterdir()) == []
    return done


def run(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the demo, or a program in its stead, below a folder."""
    command = [sys.executable, "-X", "dev", *(before or [str(PIPELINE)]), "--in-memory"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_it_succeeds_without_a_word_of_complaint(demo: subprocess.CompletedProcess[str]) -> None:
    """Exit status 0, and nothing on stderr: no warning, no traceback."""
    assert (demo.returncode, demo.stderr) == (0, "")


def test_the_first_line_says_that_it_is_played(demo: subprocess.CompletedProcess[str]) -> None:
    """Nobody takes it for a run on real devices."""
    first = demo.stdout.splitlines()[0]
    assert first.startswith("In memory (as was asked for): no loop device is touched; mount and copy are played")


def test_every_proof_holds(demo: subprocess.CompletedProcess[str]) -> None:
    """All five, and none fails."""
    assert re.findall(r"^  (holds|FAILS) ", demo.stdout, re.MULTILINE) == ["holds"] * 5


def test_one_stage_of_each_medium_fails(demo: subprocess.CompletedProcess[str]) -> None:
    """Four kinds of failure, each followed by a second try."""
    lines = demo.stdout.splitlines()
    failed = [line for line in lines if "FAILED:" in line]
    assert [line.split()[0] for line in failed] == ["copy", "release", "copy", "pack"]
    assert sum(line.startswith("  again ") for line in lines) == 4


def test_a_device_that_is_left_makes_it_fail(tmp_path: Path) -> None:
    """Where the sweep finds nothing, the proof does not hold, the exit status is 1, and all is cleaned up."""
    done = run(tmp_path, "-c", WITHOUT_SWEEP)
    assert done.returncode == 1, done.stderr
    assert "FAILS     the kernel in memory: no device and no mount is left" in done.stdout
    assert list(tmp_path.iterdir()) == []


WITHOUT_SWEEP = f"""
import runpy, sys
from unittest import mock
from ntt_loops import SweepReport
sys.path.insert(0, {str(PIPELINE.parents[1])!r})
with mock.patch("examples.demo.orphans.sweep_all", return_value=[SweepReport(dry_run=False)]):
    runpy.run_path({str(PIPELINE)!r}, run_name="__main__")
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The machine in memory."""
    with choose_machine(in_memory=True) as chosen:
        yield chosen


@pytest.fixture
def medium(machine: Machine, tmp_path: Path) -> Medium:
    """A medium that went all the way."""
    made = make_medium(machine, tmp_path, "plain")
    made.copied, made.sha256_at_unlink, made.failures = dict(made.files), made.sha256, ["once"]
    return made


def test_proofs_hold_for_a_medium_that_went_all_the_way(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """What the tests below spoil is good before."""
    assert prove(machine, tmp_path, [medium], medium)


def test_proof_fails_for_a_device(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """A device is left."""
    machine.losetup(medium.image)
    assert not prove(machine, tmp_path, [medium], medium)


def test_proof_fails_for_a_changed_image(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """The image was another one when it was deleted."""
    medium.sha256_at_unlink = "0" * 64
    assert not prove(machine, tmp_path, [medium], medium)


def test_proof_fails_for_a_file_that_was_not_copied(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """A file is missing."""
    medium.copied = {}
    assert not prove(machine, tmp_path, [medium], medium)


def test_proof_fails_for_a_device_that_is_not_accounted_for(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """More were made than went."""
    medium.count.made["kept"] += 1
    assert not prove(machine, tmp_path, [medium], medium)


def test_proof_fails_for_a_medium_that_did_not_fail(machine: Machine, tmp_path: Path, medium: Medium) -> None:
    """A failure that was to be injected did not come."""
    medium.failures.clear()
    assert not prove(machine, tmp_path, [medium], medium)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"os.geteuid": 1000}, "real loop devices need root"),
        ({"os.geteuid": 0, "pathlib.Path.exists": False}, "there is no /dev/loop-control"),
        ({"os.geteuid": 0, "pathlib.Path.exists": True, "shutil.which": None}, "not installed: mkfs.ext4, blkid"),
    ],
)
def test_what_the_real_kernel_lacks_is_said_first(
    what: dict[str, object], reason: str, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root, without the module or without a program it is played, and the first line says why."""
    for name, value in what.items():
        mocker.patch(name, return_value=value)
    with choose_machine(in_memory=False):
        mocker.stopall()
    assert capsys.readouterr().out.startswith(f"In memory ({reason}")


def test_a_symlink_on_a_medium_brings_in_nothing_of_this_machine(tmp_path: Path) -> None:
    """It is copied as what it is, also when the stage is run again; files are copied and summed up."""
    source, target, secret = tmp_path / "medium", tmp_path / "out", tmp_path / "secret"
    source.mkdir()
    secret.write_text("of this machine")
    (source / "letter.txt").write_text("of the medium")
    (source / "link").symlink_to(secret)
    (source / "folder").symlink_to(tmp_path)
    for _ in range(2):
        assert list(copy_files(source, target)) == ["letter.txt"]
    assert sorted(path.name for path in target.iterdir()) == ["SHA256SUMS", "folder", "letter.txt", "link"]
    assert (target / "link").is_symlink()
    assert (target / "folder").is_symlink()
