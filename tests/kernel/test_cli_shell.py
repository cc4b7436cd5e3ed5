"""The command line in shell scripts, on real devices; losetup judges."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support import ntt, oracle, tables
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.media import new_id
from tests.support.terminal import NTT_LOOPS, ntt_loops

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image named by a hash that no other test run has."""
    return make_image(tmp_path / f"{uuid.uuid4().hex}.img", size_bytes=2**20)


def bash(script: str, *arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    """Run a script in which ``ntt-loops`` is ours."""
    code = f'ntt-loops() {{ {NTT_LOOPS} "$@"; }}\n{script}'
    return subprocess.run(["bash", "-c", code, "bash", *arguments], capture_output=True, text=True, check=False)


def test_attach_use_release(image: Path) -> None:
    """The three lines that replace losetup -f --show, losetup -j and losetup -d."""
    script = 'set -e; dev=$(ntt-loops attach "$1"); blockdev --getsize64 "$dev"; ntt-loops release "$1"'
    done = bash(script, image)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == str(2**20)
    assert oracle.bound_devices(image) == []


def test_partitions_are_there_for_the_next_command(tmp_path: Path) -> None:
    """As after ``losetup -P``, also where the kernel reads no table by itself (F32); none is left."""
    disk = tables.partitioned(tmp_path / f"{new_id()}.img", 2**20, "label: dos", "start=8, size=8", "start=16, size=8")
    script = (
        'set -e; dev=$(ntt-loops attach "$1"); test -b "${dev}p1"; test -b "${dev}p2"; '
        'ntt-loops release "$1" >/dev/null; ntt-loops run "$1" -- test -b {}p2; echo "$dev"'
    )
    done = bash(script, disk)
    assert (done.returncode, done.stderr) == (0, "")
    oracle.wait_until(lambda: not oracle.partition_nodes(done.stdout.strip()), "none is left, ours or another's since")


def test_a_prefix_releases_what_losetup_made_17_times(image: Path) -> None:
    """BUG-012: seventeen devices of one medium, the image deleted."""
    stat = image.stat()
    for _ in range(17):
        oracle.losetup_attach(image)
    assert len(oracle.bound_devices(image)) == 17
    image.unlink()
    done = ntt_loops("release", "--json", image.stem[:12])
    assert done.returncode == 0, done.stderr
    (target,) = json.loads(done.stdout)["targets"]
    assert (target["medium"], len(target["released"])) == (image.stem, 17)
    assert oracle.devices_of(stat.st_dev, stat.st_ino) == []


def test_a_busy_device_is_75_and_the_others_go(image: Path) -> None:
    """Who has it is said, and ``why`` says it again with the command."""
    busy, idle = oracle.losetup_attach(image), oracle.losetup_attach(image)
    with reader(busy) as process:
        done = ntt_loops("release", "--timeout", "0.1", image.stem)
        assert done.returncode == 75
        assert f"(pid {process.pid}) has {busy} open" in done.stderr
        assert oracle.bound_devices(image) == [busy]
        why = ntt_loops("why", busy)
        assert (why.returncode, why.stderr) == (0, "")
        assert f"\n  kill {process.pid} " in why.stdout
    assert f"released {idle} of {image}" in done.stdout
    assert ntt_loops("release", busy).returncode == 0
    assert oracle.bound_devices(image) == []


def test_a_device_is_released_alone(image: Path) -> None:
    """By its node, by a symlink to that, and by another node of the same device."""
    for way in ("node", "symlink", "mknod"):
        device, sibling = oracle.losetup_attach(image), oracle.losetup_attach(image)
        other = image.parent / way
        if way == "symlink":
            other.symlink_to(device)
        elif way == "mknod":
            os.mknod(other, 0o600 | 0o060000, os.stat(device).st_rdev)  # noqa: PTH116 - a node, not a file
        done = ntt_loops("release", device if way == "node" else other)
        assert (done.returncode, done.stderr) == (0, "")
        assert oracle.bound_devices(image) == [sibling]
        assert ntt_loops("release", sibling).returncode == 0


def test_list_knows_all_and_says_whose(image: Path) -> None:
    """Compared with losetup's list, as far as the devices are ours."""
    kept = ntt_loops("attach", image).stdout.strip()
    foreign = oracle.losetup_attach(image)
    listed = json.loads(ntt_loops("list", "--json").stdout)
    (medium,) = [one for one in listed["media"] if one["medium"] == image.stem]
    assert {one["device"]: one["state"] for one in medium["devices"]} == {kept: "kept", foreign: "foreign"}
    rows = [row["name"] for row in oracle.losetup_list() if row["back-file"] == str(image)]
    assert sorted(rows) == sorted([kept, foreign])
    assert ntt_loops("release", image).returncode == 0


def test_a_reader_that_goes_is_no_error(image: Path) -> None:
    """``| head -n 0``: quiet, and 141 as for any program."""
    oracle.losetup_attach(image)
    done = bash('ntt-loops list --json | true; echo "${PIPESTATUS[0]}"')
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")  # whichever is faster
    closed = bash('ntt-loops list --json > >(exec true) 2>&1; wait; (sleep 0.3; ntt-loops list --json) | sleep 0; '
                  'echo "${PIPESTATUS[0]}"')  # fmt: skip
    assert (closed.stdout.strip(), closed.stderr) == ("141", "")
    assert ntt_loops("release", image).returncode == 0


def test_attach_whose_output_is_lost_leaves_nothing(image: Path) -> None:
    """A full disk, a reader that is gone, a closed stdout: nobody would know of the device."""
    full = bash('ntt-loops attach "$1" >/dev/full', image)
    assert (full.returncode, full.stderr) == (1, "ntt-loops: No space left on device\n")
    gone = bash('(sleep 0.3; ntt-loops attach "$1") | sleep 0; echo "${PIPESTATUS[0]}"', image)
    assert (gone.stdout, gone.stderr) == ("141\n", "")
    assert oracle.bound_devices(image) == []


def test_without_root_it_says_so(image: Path, tmp_path: Path) -> None:
    """Attach, list, release, run: a sentence and a hint, nothing done."""
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    oracle.losetup_attach(image)
    for arguments in (["attach", image], ["list"], ["release", image], ["sweep"], ["run", image, "--", "true"]):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", NTT_LOOPS, *arguments],
            env={**os.environ, "NTT_LOOPS_RUN_DIR": "/nonexistent/run"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.startswith("ntt-loops: ")
        assert "hint: run it as root" in done.stderr
    assert ntt_loops("release", image).returncode == 0


def test_mount_and_unmount(image: Path, tmp_path: Path) -> None:
    """The folder alone on stdout, nothing left, and the image is what it was."""
    before = oracle.sha256(image)
    script = (
        'set -e; dir=$(ntt-loops mount "$1" --root "$2"); mountpoint -q "$dir"; '
        'ntt-loops unmount "${1##*/}" --root "$2"'
    )
    name = image.rename(image.with_suffix(""))
    done = bash(script, name, tmp_path / "mnt")
    assert (done.returncode, done.stderr) == (0, "")
    assert oracle.bound_devices(name) == []
    assert oracle.sha256(name) == before
    assert list((tmp_path / "mnt").iterdir()) == []


def test_a_medium_that_another_process_mounts_is_busy(image: Path, tmp_path: Path) -> None:
    """Later it may work: 75, as for a ledger that is locked, for ``unmount`` and the NTT program as well."""
    run_dir, root = tmp_path / "run", tmp_path / "mnt"
    run_dir.mkdir(mode=0o700)
    environment = {"NTT_LOOPS_RUN_DIR": str(run_dir)}
    with (run_dir / f"{image.stem}.mount").open("x") as lock:
        os.fchmod(lock.fileno(), 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (("mount", image), ("unmount", image.stem)):
            done = ntt_loops(*arguments, "--root", root, "--timeout", "0.1", **environment)
            assert (done.returncode, done.stdout) == (75, "")
            assert f"medium {image.stem} is being mounted" in done.stderr
            assert "hint: another process works on that medium" in done.stderr
        of_helper = ("mount", image.stem, image, "--root", root, "--timeout", "0.1")
        with ntt.start("mount_helper.py", *of_helper, environment=environment) as helper:
            assert helper.wait() == 75
    assert oracle.bound_devices(image) == []
