"""Releases from odd places: a container without loop-control, the interpreter's end, an image too deep for a path."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.forked import elsewhere
from tests.support.media import autoclear, by_losetup, is_bound, new_hash, new_image
from tests.support.needs import require_tool
from tests.support.rig import filled
from tests.support.served import served

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopDevice, Loops

_WITHOUT_CONTROL = """
mount -t tmpfs none /dev && cp -a "$3"/. /dev/ && exec "$1" -c '
import sys
from ntt_loops import Loops
print([one.device for one in Loops(sys.argv[1]).release_all(sys.argv[2], timeout=float(sys.argv[3])).released])
' "$2/run" "$4" "$5"
"""
_AT_EXIT = """
import atexit, sys
from ntt_loops import Loops
atexit.register(lambda: print(len(Loops(sys.argv[1]).release_all(sys.argv[2]).released)))
"""


def _release_without_control(device: LoopDevice, folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Release a medium by its id in a mount namespace whose /dev has the device's node but no loop-control."""
    (folder / "kit").mkdir()
    for node in ("/dev/null", "/dev/urandom", str(device)):
        oracle.run("cp", "-a", node, folder / "kit")
    shell = [require_tool("unshare"), "-m", "--propagation", "private", "sh", "-c", _WITHOUT_CONTROL, "sh"]
    command = [*shell, sys.executable, str(folder), str(folder / "kit"), device.medium, str(timeout)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_container_without_loop_control(loops: Loops, tmp_path: Path) -> None:
    """Where /dev lacks loop-control, which an attach needs, the release of a read-only device works."""
    device = loops.attach_kept(new_image(tmp_path))
    done = _release_without_control(device, tmp_path, oracle.PATIENCE_SECONDS)
    assert (done.stdout, done.stderr) == (f"['{device}']\n", "")
    assert not is_bound(device)


def test_a_writable_device_in_a_container_without_loop_control(loops: Loops, tmp_path: Path) -> None:
    """Two releases of a writable device keep off each other by loop-control: without it the device stays, and why."""
    device = loops.attach_kept(new_image(tmp_path), writable=True)
    done = _release_without_control(device, tmp_path, 2.0)  # half of it a call, where another namespace has servers
    assert "no-node" in done.stderr
    assert autoclear(device) == "0"
    loops.release(device)
    assert not is_bound(device)


@pytest.mark.parametrize("where", ["local", "on a file server"])
def test_at_the_end_of_the_interpreter(tmp_path: Path, where: str) -> None:
    """A release that atexit calls works, for an image on a file server too."""
    with served(tmp_path) as server:
        image = new_image(tmp_path if where == "local" else server.folder)
        device = by_losetup(image)
        command = [sys.executable, "-c", _AT_EXIT, str(tmp_path / "run"), str(image)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("1\n", "")
        assert not is_bound(device)


def _below_a_long_path(folder: Path, name: str) -> None:
    """Make folders until no path can name what lies in them, and an image there; stay there."""
    os.chdir(folder)
    for _ in range(20):
        os.mkdir("d" * 250)  # noqa: PTH102 - relative, since the whole path is too long
        os.chdir("d" * 250)
    with open(name, "wb") as file:  # noqa: PTH123 - relative, too
        file.write(filled(folder / "filled").read_bytes())


def test_an_image_whose_path_is_too_long(loops: Loops, tmp_path: Path) -> None:
    """An image below more than 4096 bytes of path is attached in either form, and released by its id and by itself."""
    medium = new_hash()

    def cycle() -> list[bool]:
        _below_a_long_path(tmp_path, f"{medium}.img")
        with loops.attached(f"{medium}.img") as scoped:
            found = [is_bound(scoped)]
        found.append(is_bound(scoped))
        by_id, by_itself = loops.attach_kept(f"{medium}.img"), loops.attach_kept(f"{medium}.img", medium=f"x{medium}")
        loops.release(by_itself)
        loops.release_all(medium)
        return [*found, is_bound(by_id), is_bound(by_itself)]

    try:
        assert elsewhere(cycle) == [True, False, False, False]
    finally:
        oracle.run("rm", "-rf", tmp_path / ("d" * 250))
