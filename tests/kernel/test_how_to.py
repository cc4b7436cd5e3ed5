"""docs/how-to.md: the commands that an operator is told to run do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

from ntt_loops._attachment.holders import Kind
from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_hash
from tests.support.rig import mounted_elsewhere

TEXT = (Path(__file__).parents[2] / "docs" / "how-to.md").read_text(encoding="utf-8")
WHY, RELEASE, LOOK, RESCUE, DOCTOR, METRICS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
#: What no operator meets as a kind of its own: ``why`` says these in a sentence.
SAID_OTHERWISE = {"stacked", "no-node", "failed"}


def run(script: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run lines of the page."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **{name: str(value) for name, value in variables.items()}}
    command = ["bash", "-euc", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def report(script: str, **variables: object) -> Any:  # noqa: ANN401 - JSON
    """Run one line with --json and return what it prints."""
    return json.loads(run(script.replace("\n", " --json\n"), **variables).stdout)


def test_what_why_prints_lets_a_device_go(tmp_path: Path) -> None:
    """Mounted in another mount namespace it is busy; the printed commands, run as they are, end that."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=2**20)
    device = by_losetup(image)
    point = tmp_path / "a mount"
    point.mkdir()
    with mounted_elsewhere(Path(device), point) as process:
        said = run(WHY, DEV=device)
        assert (said.returncode, is_bound(device)) == (0, True)
        assert run(RELEASE.replace("release", "release --timeout 0.2"), IMG=image).returncode == 75
        commands = report(WHY, DEV=device)["commands"]
        assert commands[0] == f"nsenter -t {process.pid} -m umount '{point}'"
        assert all(command in said.stdout for command in commands)
        for command in commands:
            assert run(command).returncode == 0
        process.communicate("\n")
    assert not is_bound(device)
    assert run(RELEASE, IMG=image).returncode == 0


def test_the_look_at_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """The list shows the deleted image, the dry run what would come back, and the device stays."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=2**20, fs=None)
    device = by_losetup(image)
    image.unlink()
    done = run(LOOK)
    assert done.returncode == 0
    listed = [line for line in done.stdout.splitlines() if re.search(rf"{device}\b", line)]
    assert "foreign,deleted" in listed[0]
    assert str(image) in listed[1]
    assert is_bound(device)
    oracle.losetup_detach(device)


def test_an_image_deleted_by_mistake_comes_back(tmp_path: Path) -> None:
    """At its old place; kept open in another shell, the device outlives a detach that waits for its last user."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=2**20)
    digest = oracle.sha256(image)
    device = by_losetup(image)
    image.unlink()
    (keep,) = re.findall(r"`(exec 9<[^`]+)`", TEXT)
    done = run(f'{keep}\nlosetup -d "$DEV"\n{RESCUE}\ntest -e /sys/block/${{DEV#/dev/}}/loop', DEV=device, IMG=image)
    assert (done.returncode, digest in done.stdout) == (0, True)
    assert oracle.sha256(image) == digest
    oracle.wait_until(lambda: not is_bound(device), "it goes with the shell")


def test_the_doctor_is_content_here() -> None:
    """With what these tests run on."""
    done = run(DOCTOR)
    assert (done.returncode, done.stdout.splitlines()[-1].startswith("This machine keeps the promises")) == (0, True)


def test_the_metrics_are_written(tmp_path: Path) -> None:
    """To the file that the collector reads."""
    done = run(METRICS.replace("/var/lib/prometheus/node-exporter", str(tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert 'ntt_loops_devices{state="orphan"} ' in (tmp_path / "ntt-loops.prom").read_text(encoding="utf-8")


def test_every_kind_of_holder_is_explained() -> None:
    """The table has each kind that why can name."""
    rows = re.findall(r"^\| ([a-z, ]+) \|", TEXT, re.MULTILINE)
    kinds = {kind for row in rows[1:] for kind in row.split(", ")}
    assert kinds == set(get_args(Kind)) - SAID_OTHERWISE
