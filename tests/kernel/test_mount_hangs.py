"""Mounts that hang: mount(8) is killed at its deadline, what it had mounted is taken back, and nothing is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ntt_loops import Loops, MountTimeoutError
from tests.support import oracle
from tests.support.mountings import is_clean, mount_points_below
from tests.support.needs import require_tool

MIB = 1024 * 1024
REAL = 'PATH=/usr/bin:/bin:/usr/sbin:/sbin mount "$@"'


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is found before mount(8); a test writes it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "mount"


def _write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


SLEEPS = "sleep 600"
MOUNTS_AND_SLEEPS = f"{REAL}; sleep 600"
LEAVES_A_CHILD = "sleep 600 & wait"
KEEPS_THE_PIPE = f"sleep 600 & {REAL}; exit 1"


@pytest.mark.parametrize("script", [SLEEPS, MOUNTS_AND_SLEEPS, LEAVES_A_CHILD, KEEPS_THE_PIPE])
def test_a_medium(loops: Loops, root: Path, image: Path, stand_in: Path, script: str) -> None:
    """The call does not wait for it: it fails, says so, and leaves neither mount nor device, folder nor process."""
    _write(stand_in, script)
    with pytest.raises(MountTimeoutError, match="killed") as caught:
        loops.mount_medium(image, root=root, timeout=6)  # a quarter of it for blkid
    assert caught.value.partitions[0].status == "failed"
    assert not root.exists()
    assert is_clean(loops, root, image)
    assert not _sleepers(stand_in)


@pytest.mark.parametrize("script", [SLEEPS, MOUNTS_AND_SLEEPS, LEAVES_A_CHILD])
def test_a_device(loops: Loops, image: Path, tmp_path: Path, stand_in: Path, script: str) -> None:
    """So a single mount."""
    _write(stand_in, script)
    with (
        loops.attached(image) as device,
        pytest.raises(MountTimeoutError, match="nothing is left mounted"),
        loops.mounted(device, tmp_path / "mnt", timeout=2.0),
    ):
        pass
    assert not (tmp_path / "mnt").exists()
    assert mount_points_below(tmp_path) == []
    assert not _sleepers(stand_in)


def test_it_says_what_it_did_not(loops: Loops, root: Path, image: Path, stand_in: Path) -> None:
    """A mount(8) that ends well and has mounted nothing is not believed."""
    _write(stand_in, "exit 0")
    with pytest.raises(OSError, match="not mounted") as caught:
        loops.mount_medium(image, root=root)
    assert not isinstance(caught.value, TimeoutError)
    assert is_clean(loops, root, image)


def test_it_fails_and_has_mounted(loops: Loops, root: Path, image: Path, stand_in: Path) -> None:
    """One that ends badly and has mounted all the same is taken back: what it said counts."""
    _write(stand_in, f"{REAL}; echo 'mount: it is not well' >&2; exit 32")
    with pytest.raises(OSError, match="mount: it is not well"):
        loops.mount_medium(image, root=root)
    assert is_clean(loops, root, image)


def test_no_blkid(loops: Loops, root: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without blkid(8) nothing is guessed: the error names what is missing."""
    (tmp_path / "bin").mkdir()
    for program in ("partx", "mount", "umount"):
        (tmp_path / "bin" / program).symlink_to(require_tool(program))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(OSError, match=r"blkid\(8\) is not installed"):
        loops.mount_medium(image, root=root)
    assert is_clean(loops, root, image)


def _sleepers(stand_in: Path) -> list[str]:
    """Return what a stand-in has started and is still there, after a moment."""
    folder = os.fsencode(stand_in.parent)

    def found() -> list[str]:
        pids = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in pids if folder in _environment(pid)]

    deadline = time.monotonic() + oracle.PATIENCE_SECONDS
    while found() and time.monotonic() < deadline:
        time.sleep(0.01)
    return found()


def _environment(pid: str) -> bytes:
    try:
        return b"" if int(pid) == os.getpid() else Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
