"""``examples/fleet.py``: the pipeline on several workers that are killed, on real devices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.fleet_parts.proofs import COLUMNS
from examples.fleet_parts.task import Order, process
from tests.support import oracle
from tests.support.needs import require_tool

FLEET = Path(__file__).parents[2] / "examples" / "fleet.py"
#: By then a run is over, or it never will be.
NEVER_SECONDS = 300.0


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what a short run printed: two workers, a medium each, and each worker is killed once."""
    for name in ("mkfs.ext4", "blkid", "mount", "umount", "losetup"):
        require_tool(name)
    folder = tmp_path_factory.mktemp("fleet")
    done = fleet(folder, "--workers", "2", "--media", "1", "--kills", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert oracle.bound_below(folder) == []
    assert [point for _, point in oracle.mounts() if point.is_relative_to(folder)] == []
    assert list(folder.iterdir()) == []
    return done.stdout


def fleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the example with all temporary files below a folder."""
    command = [sys.executable, str(FLEET), *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=NEVER_SECONDS, check=False)


def table(output: str) -> dict[str, dict[str, int]]:
    """Read the table."""
    rows = [line.split() for line in output.splitlines() if re.match(r"host-\d+ ", line)]
    return {name: dict(zip(COLUMNS, map(int, cells), strict=True)) for name, *cells in rows}


def test_each_medium_is_done_exactly_once_and_nothing_is_left(whole_run: str) -> None:
    """A mount and a kept device of killed workers are released by the next ones; the rest is zeros."""
    once = {"media": 1, "tries": 2, "killed": 1, "swept": 1, "published": 1, "second": 0, "archives": 1}
    assert table(whole_run) == {name: {**once, "devices": 0, "mounts": 0} for name in ("host-1", "host-2")}


def test_every_proof_holds(whole_run: str) -> None:
    """All five."""
    assert re.findall(r"^  (holds|FAILS) ", whole_run, re.MULTILINE) == ["holds"] * 5


def test_it_says_how_it_goes(whole_run: str) -> None:
    """The scheduler, the dashboard or why there is none, and each medium as it is done."""
    assert re.search(
        r"^Scheduler at tcp://127\.0\.0\.1:\d+; dashboard: (http://|none, as bokeh)", whole_run, re.MULTILINE
    )
    assert re.findall(r"done +(\d of 2): [0-9a-f]{32}, published by \d+", whole_run) == ["1 of 2", "2 of 2"]


def test_a_try_after_the_archive_only_tidies_up(tmp_path: Path) -> None:
    """Killed between the archive and the unlink: the next try deletes the image, and publishes nothing."""
    for part in ("images", "tries", "archive"):
        (tmp_path / part).mkdir()
    image = tmp_path / "images" / "536a933b4481f605fcd44615740a9025.img"
    image.write_bytes(bytes(4096))
    (tmp_path / "archive" / f"{image.stem}.tar").write_text("whole")
    outcome = process(Order(str(tmp_path), image.name))
    assert (outcome.event, image.exists(), list((tmp_path / "tries").iterdir())) == ("was done", False, [])
    assert process(Order(str(tmp_path), image.name)).event == "was done"
