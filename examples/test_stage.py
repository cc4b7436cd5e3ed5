"""Two stages and their tests, on the kernel in memory: no root, no device. Run it: ``pytest test_stage.py``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, mounted_medium, release_all

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.pytest_plugin import LoopImages
    from ntt_loops.testing import MemoryKernel

pytestmark = pytest.mark.usefixtures("no_loop_leaks")


def copy_out(image: Path, folder: Path, root: Path) -> None:
    """The one stage: copy the files of a medium."""
    with mounted_medium(image, root=root) as medium:
        for part in medium.partitions:
            if part.mount_point is not None:
                shutil.copytree(part.mount_point, folder / f"p{part.number}")


def discard(image: Path) -> None:
    """The other one: delete an image that nobody uses."""
    release_all(image, timeout=0.1)
    image.unlink()


@pytest.mark.usefixtures("in_memory_loops")
def test_files_are_copied(loop_image: LoopImages, tmp_path: Path) -> None:
    """A medium of one partition."""
    image = loop_image(partitions=[{"fstype": "ext4", "files": {"letter.txt": b"Dear Ann"}}])
    copy_out(image, tmp_path / "copies", tmp_path / "mnt")
    assert (tmp_path / "copies" / "p1" / "letter.txt").read_bytes() == b"Dear Ann"


def test_an_image_in_use_is_kept(in_memory_loops: MemoryKernel, loop_image: LoopImages) -> None:
    """Somebody attached it by losetup, and dd reads it."""
    image = loop_image()
    reader = in_memory_loops.open_elsewhere(in_memory_loops.attach_foreign(image), command="dd")
    with pytest.raises(DeviceBusyError, match="dd"):
        discard(image)
    assert image.exists()
    reader.close()
    discard(image)
    assert not image.exists()
