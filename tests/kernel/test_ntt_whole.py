"""The NTT system end to end, judged by BUG-012's own checks: what `losetup -l | grep` shows."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import ntt, ntt_media, oracle
from tests.support.media import by_losetup, new_hash
from tests.support.ntt_media import DONE, ERROR, FILES, MORE
from tests.support.ntt_place import start_and_stop_in_copy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.ntt_place import Place


def listed(*words: str) -> list[str]:
    """Return the lines of `losetup -l` with all of these words."""
    pipe = "losetup -l" + "".join(f" | grep -F -- '{word}'" for word in words)
    done = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@pytest.fixture
def media(place: Place) -> list[Path]:
    """Three media, two with partitions, and what the old scripts left of them: devices, some of deleted images."""
    makers = (ntt_media.whole_disk, ntt_media.two_partitions, ntt_media.ext4_and_xfs)
    images = [make(place.images) for make in makers]
    for first, image in zip("abc", images, strict=True):  # in this order they are processed
        image.rename(place.images / f"{first}{new_hash()[1:]}.img")
    images = sorted(place.images.iterdir())
    for image in images:
        for _ in range(5):
            by_losetup(image)
    for image in images[1:]:  # read anew: the devices hold a deleted file from now on
        shutil.copy2(image, place.images / "copy")
        (place.images / "copy").replace(image)
        by_losetup(image)
    return images


def test_three_media_failures_and_a_kill_leave_nothing(media: list[Path], place: Place, tmp_path: Path) -> None:
    """One fails at its mount, the orchestrator is killed in the middle of the next and run again: BUG-012 is gone.

    No device is `(deleted)`, none is left of any hash, and all files and images are where they belong.
    """
    failing, killed, _ = media
    sums = {image.stem: oracle.sha256(image) for image in media}
    assert len(listed("deleted", str(tmp_path))) == 10
    assert len(listed(str(tmp_path))) == 17
    fail = f'case "$*" in *{failing.stem}*) echo "mount: {failing.stem}: no luck" >&2; exit 32;; esac'
    environment = ntt.replaced(tmp_path, "mount", fail)
    with start_and_stop_in_copy(place, environment=environment) as process:
        process.kill()
        _, errors = process.communicate()
    assert f"{failing.stem}: FAILED: " in errors
    assert "no luck" in errors
    assert ntt_media.mounts_below(tmp_path) == [place.root / killed.stem / name for name in ("p1", "p2")]

    done = place.run(environment=environment)
    assert done.returncode == ERROR, done.stderr
    assert place.state(failing)["facts"]["error"].startswith("mount: ")
    assert failing.exists()
    assert listed(failing.stem) == []  # the failed mounts left none, and took those of the old scripts away

    done = place.run()
    assert done.returncode == DONE, done.stderr
    assert ntt.run("cleanup_mounts.py", "--idle", "0", "--root", place.root, "--under", place.images).returncode == DONE

    for image in media:
        place.assert_done(image)
        assert listed(image.stem) == []
        assert packed_sha256(place, image) == sums[image.stem]
    assert listed("deleted", str(tmp_path)) == []
    assert listed(str(tmp_path)) == []
    assert place.copies(failing) == dict(FILES)
    both = {f"p1/{name}": content for name, content in FILES.items()} | {f"p2/{name}": MORE[name] for name in MORE}
    for image in media[1:]:
        assert place.copies(image) == both


def packed_sha256(place: Place, image: Path) -> str:
    """Return the SHA-256 of the image in the archive."""
    archive = place.folder / "archives" / f"{image.stem}.tar.zst"
    oracle.run("tar", "-I", "zstd", "-C", place.folder, "-xf", archive)
    return oracle.sha256(place.folder / image.name)
