"""docs/from-bash.md: every new line does what the page says, on a medium in the state that the old lines left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_hash
from tests.support.needs import require_tool

PAGE = Path(__file__).parents[2] / "docs" / "from-bash.md"
TEXT = PAGE.read_text(encoding="utf-8")
#: The chapters that have lines to run.
CHAPTERS = {
    part.partition("\n")[0]: re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    for part in TEXT.split("\n## ")
    if "\n```sh\n" in part
}
MADE_BY_OLD_LINES = 3


class Place(NamedTuple):
    """Where a script finds what it works on."""

    folder: Path
    image: Path

    @property
    def archive(self) -> Path:
        """What the archiver makes."""
        return self.folder / "archive.tar.zst"

    def run(self, script: str, shell: str = "set -euo pipefail") -> subprocess.CompletedProcess[str]:
        """Run a script as the page's reader does."""
        variables = {
            "IMAGES": self.image.parent,
            "HASH": self.image.stem,
            "IMG": self.image,
            "ROOT": self.folder / "mnt",
            "ARCHIVE": self.archive,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        command = ["bash", "-c", f"{shell}\n{script}"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A medium with a file system, and devices that old lines left."""
    require_tool("blkid")
    require_tool("zstd")
    folder = tmp_path / "img"
    folder.mkdir()
    image = make_image(folder / f"{new_hash()}.img", size_bytes=2**20, files={"letter.txt": b"Dear reader"})
    for _ in range(MADE_BY_OLD_LINES):
        by_losetup(image)
    return Place(tmp_path, image)


def test_three_programs_have_new_lines() -> None:
    """The page has each of them, and old lines are not among those that are run."""
    assert list(CHAPTERS) == ["ntt-mount-helper", "ntt-cleanup-mounts", "ntt-archiver"]
    lines = "\n".join(block for blocks in CHAPTERS.values() for block in blocks)
    assert not re.search(r"\b(losetup|umount|mount -o|findmnt|fuser)\b", lines)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_lines_of_a_chapter_run(place: Place, chapter: str) -> None:
    """One after the other they succeed, and leave no device of the medium, the old lines' ones included."""
    before, inode = oracle.sha256(place.image), place.image.stat()
    done = place.run("\n".join(CHAPTERS[chapter]))
    assert (done.returncode, done.stderr) == (0, "")
    assert oracle.devices_of(inode.st_dev, inode.st_ino) == []
    assert not (place.folder / "mnt" / place.image.stem).exists()
    if chapter == "ntt-archiver":
        assert not place.image.exists()
        assert place.archive.stat().st_size > 0
    else:
        assert oracle.sha256(place.image) == before


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_block_stands_alone(place: Place, chapter: str) -> None:
    """No block needs what another one did."""
    for block in CHAPTERS[chapter]:
        done = place.run(block)
        assert (done.returncode, done.stderr) == (0, ""), block
        assert place.run('ntt-loops unmount "$HASH" --root "$ROOT"').returncode == 0


def test_mount_prints_the_folder_once_and_again(place: Place) -> None:
    """It is the folder with the files, and the second call says the same."""
    block = CHAPTERS["ntt-mount-helper"][0]
    first, second = place.run(block), place.run(block)
    assert first.stdout == second.stdout == f"{place.folder}/mnt/{place.image.stem}\n"
    assert (Path(first.stdout.strip()) / "letter.txt").read_bytes() == b"Dear reader"
    (unmount,) = [block for block in CHAPTERS["ntt-mount-helper"] if "unmount" in block]
    assert place.run(unmount).returncode == 0
    assert place.run(unmount).returncode == 0
    assert oracle.bound_devices(place.image) == []


def test_archiver_ends_before_the_rm_while_somebody_uses_the_image(place: Place) -> None:
    """Its exit status is 75, and once the user has gone the same lines go on to the end."""
    (script,) = CHAPTERS["ntt-archiver"]
    (device, *_) = oracle.bound_devices(place.image)
    with Path(device).open("rb"):
        done = place.run(script.replace("release", "release --timeout 0.2"), shell="")
        assert (done.returncode, place.image.exists()) == (75, True)
        assert f"pid {os.getpid()}" in done.stderr
    assert place.run(script).returncode == 0
    assert not place.image.exists()
    assert place.run(script).returncode == 0


def test_sweep_takes_what_deleted_images_left(place: Place) -> None:
    """All of it, and nothing of a living image."""
    living = make_image(place.image.with_name(f"{new_hash()}.img"), size_bytes=2**20, fs=None)
    device, inode = by_losetup(living), place.image.stat()
    place.image.unlink()
    (block,) = [block for block in CHAPTERS["ntt-cleanup-mounts"] if "sweep" in block]

    def is_swept() -> bool:
        assert place.run(block).returncode == 0
        return oracle.devices_of(inode.st_dev, inode.st_ino) == []

    oracle.wait_until(is_swept, "the devices are swept", seconds=30)
    assert is_bound(device)
    oracle.losetup_detach(device)
