"""Images on a server that does not answer: a mount that hangs ends at its deadline."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MountError
from tests.support import oracle, rawloop
from tests.support.images import make_image
from tests.support.media import new_hash
from tests.support.served import served

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopDevice

MIB = 1024 * 1024


def _drop_what_is_cached(device: LoopDevice, image: Path) -> None:
    """Udev may have read all of it: then it is cached of the device, and of the image."""
    for path in (device.path, image):
        with rawloop.opened(path) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def test_a_server_that_stops_before_the_mount(tmp_path: Path) -> None:
    """Attached while it answered, mounted when it does not: an error in time, no mount and no folder."""
    loops = Loops(tmp_path / "run")
    source = make_image(tmp_path / "source", size_bytes=MIB)
    with served(tmp_path) as server:
        image = server.folder / f"{new_hash()}.img"
        shutil.copyfile(source, image)
        with loops.attached(image, timeout=20) as device:
            _drop_what_is_cached(device, image)
            with server.stopped():
                began = time.monotonic()
                with pytest.raises(MountError), loops.mounted(device, tmp_path / "mnt", fstype="ext4", timeout=1):
                    pass
                assert time.monotonic() - began < 15
                assert not (tmp_path / "mnt").exists()
            oracle.wait_until(lambda: not oracle.mounts_of(str(device)), "nothing is mounted late")
            with loops.mounted(device, tmp_path / "mnt"):
                pass
