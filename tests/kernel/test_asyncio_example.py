"""examples/asynchronous.py, the program itself, on real images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.media import by_losetup, is_bound, new_image
from tests.support.tables import mbr, write

PROGRAM = Path(__file__).parents[2] / "examples" / "asynchronous.py"


def run(*images: Path) -> subprocess.CompletedProcess[str]:
    """Run it; a descriptor that is lost, or a coroutine that is not awaited, would be told on stderr."""
    command = [sys.executable, "-W", "error", str(PROGRAM), *map(str, images)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """More of them than are looked into at once, one with a table of two partitions."""
    made = [new_image(tmp_path, size_bytes=2**20) for _ in range(12)]
    write(made[3], mbr((64, 64, 0x83), (256, 512, 0x0C)))
    return made


def test_it_tells_of_each_image_and_leaves_no_device(images: list[Path]) -> None:
    """Those that others had made of an image are released, too."""
    stranger = by_losetup(images[5])
    done = run(*images)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{image.name}: {2**20} bytes, {2 if image is images[3] else 0} partitions" for image in images
    ]
    assert not is_bound(stranger)
    assert [oracle.bound_to_path(image) for image in images] == [[]] * len(images)


def test_one_that_cannot_be_attached_ends_it_all(images: list[Path]) -> None:
    """It says which, and no device of the others is left."""
    images[7].unlink()
    done = run(*images)
    assert done.returncode == 1
    assert str(images[7]) in done.stderr
    oracle.wait_until(lambda: not any(oracle.bound_to_path(image) for image in images), "no device is left")
