"""A mount(8) that goes on when its process was killed: nobody takes the medium for unmounted meanwhile."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MountTimeoutError
from tests.support import oracle
from tests.support.forked import forks
from tests.support.images import make_image
from tests.support.media import new_id
from tests.support.mountings import is_clean

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
#: It waits until it is told to mount.
STAND_IN = """#!/bin/sh
: > "$WHERE/started"
until [ -e "$WHERE/go" ]; do sleep 0.02; done
PATH=/usr/bin:/bin:/usr/sbin:/sbin exec mount "$@"
"""


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with a stand-in of mount(8)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mount").write_text(STAND_IN)
    (folder / "mount").chmod(0o755)
    return folder


def test_the_next_call_waits_for_it(tmp_path: Path, bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call is told to try again while it is at work, and then finds what it mounted: one device, one mount."""
    image, root = make_image(tmp_path / f"{new_id()}.img", size_bytes=MIB), tmp_path / "root"
    loops, usual = Loops(tmp_path / "run"), os.environ["PATH"]
    monkeypatch.setenv("WHERE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{bin_folder}:{usual}")
    with forks() as start:
        worker = start(lambda _: loops.mount_medium(image, root=root).to_dict())
        oracle.wait_until((tmp_path / "started").exists, "mount(8) is started", seconds=60)
        worker.kill(signal.SIGKILL)
        worker.wait()
    monkeypatch.setenv("PATH", usual)
    (device,) = oracle.bound_devices(image)  # so its number is nobody else's when mount(2) comes
    with pytest.raises(MountTimeoutError, match="another process"):
        loops.mount_medium(image, root=root, timeout=0.2)
    with pytest.raises(MountTimeoutError):
        loops.unmount_medium(image.stem, root=root, timeout=0.2)
    (tmp_path / "go").touch()
    medium = loops.mount_medium(image, root=root)
    assert (medium.is_new, [str(one) for one in medium.devices]) == (False, [device])
    assert oracle.mounts_of(device) == [root / image.stem]
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)
