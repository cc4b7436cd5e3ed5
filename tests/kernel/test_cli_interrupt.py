"""Ctrl-C, SIGTERM and SIGHUP at any moment of a verb: nothing half-done stays."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import new_id
from tests.support.terminal import ntt_loops, started

if TYPE_CHECKING:
    from pathlib import Path

#: From before the first import of ours to well after the last step.
LONGEST_SECONDS = 0.5
ROUNDS = 12
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a file system."""
    return make_image(tmp_path / f"{new_id()}.img", size_bytes=2**20)


def interrupted(number: signal.Signals, *arguments: str | Path) -> tuple[int, str]:
    """Send a signal to a verb at a random moment; return its status and what it printed."""
    with started(*arguments) as process:
        time.sleep(random.uniform(0.02, LONGEST_SECONDS))
        process.send_signal(number)
        out, _ = process.communicate()
        return process.returncode, out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_leaves_nothing(image: Path, number: signal.Signals) -> None:
    """Before the command starts, while it runs, and while the device is detached."""
    for _ in range(ROUNDS):
        status, _ = interrupted(number, "run", image, "--", "sleep", "0.1")
        assert status in (0, -number, 128 + number)
        oracle.wait_until(lambda: oracle.bound_devices(image) == [], "the device is gone")


@pytest.mark.parametrize("number", ENDING)
def test_attach_leaves_what_it_printed_or_nothing(image: Path, number: signal.Signals) -> None:
    """A device of which nobody was told would be released by nobody."""
    for _ in range(ROUNDS):
        _, out = interrupted(number, "attach", image)
        assert oracle.bound_devices(image) in ([], out.split())
        assert ntt_loops("release", image).returncode == 0


@pytest.mark.parametrize("number", ENDING)
def test_mount_leaves_all_or_nothing(image: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Mounted or not, but no device without a mount, and no empty folder."""
    root = tmp_path / "mnt"
    for _ in range(ROUNDS):
        status, _ = interrupted(number, "mount", image, "--root", root)
        assert status in (0, -number, 128 + number)
        devices = oracle.bound_devices(image)
        assert [len(oracle.mounts_of(device)) for device in devices] in ([], [1])
        assert len(list(root.iterdir()) if root.exists() else []) == len(devices)
        assert ntt_loops("unmount", image, "--root", root).returncode == 0
        assert oracle.bound_devices(image) == []
