"""Where it is measured: folders on disk and on tmpfs, images, and how much is done."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from tests.support import guard

if TYPE_CHECKING:
    from collections.abc import Iterator

TMPFS: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
#: Longer than anything takes here on a busy machine.
TIMEOUT_SECONDS: Final = 600.0
IMAGE_BYTES: Final = 1024 * 1024
SMALL_BYTES: Final = 4096


@attrs.frozen
class Extent:
    """How much is done: whole, or so little that it only shows that all of it works."""

    is_quick: bool

    def of(self, whole: int, quick: int) -> int:
        """Return one of the two."""
        return quick if self.is_quick else whole


@attrs.frozen
class Place:
    """The folders of one part. ``disk`` has the images, as a pipeline has them; ledgers are on either."""

    extent: Extent
    disk: Path
    tmpfs: Path

    def image(self) -> Path:
        """Make an image that is named by a hash, not sparse, with nothing that blkid knows."""
        return _filled(self.disk, IMAGE_BYTES)

    def small_image(self) -> Path:
        """Make one of many, on tmpfs: what the disk does when it is deleted is not our subject."""
        return _filled(self.tmpfs, SMALL_BYTES)

    def use_ledger_on(self, folder: Path) -> None:
        """Let the package's functions have their ledger there."""
        os.environ["NTT_LOOPS_RUN_DIR"] = str(folder / "run")


def _filled(folder: Path, size_bytes: int) -> Path:
    path = folder / f"{secrets.token_hex(16)}.img"
    path.write_bytes(b"A" * size_bytes)
    return path


@contextmanager
def places(extent: Extent) -> Iterator[Place]:
    """Make the folders; whatever is bound to a file in them at the end is detached."""
    with ExitStack() as stack:
        disk, tmpfs = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ntt-bench-", dir=folder)))
            for folder in (None, TMPFS)
        )
        for folder in (disk, tmpfs):
            stack.callback(guard.clear_below, folder)
        place = Place(extent, disk, tmpfs)
        place.use_ledger_on(tmpfs)
        yield place
