"""Real images: an ext4 with files, one whose journal needs recovery, one with bytes behind its last sector."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.machine import TAIL_BYTES
from examples.demo.programs import run
from ntt_loops import attached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.demo.machine import Kind

_SIZE_BYTES = 8 * 2**20
_FILES = 12
_FILE_BYTES = 7_919
#: Where ext4 keeps the features that a kernel must know, and that of a journal which needs recovery.
_INCOMPAT_OFFSET = 1024 + 0x60
_NEEDS_RECOVERY = 0x4


def make(path: Path, kind: Kind) -> Mapping[str, str]:
    """Make an image; return the SHA-256 of the files in it by their names."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        files = _make_files(Path(folder))
        _make_ext4(path, Path(folder))
    if kind == "journal":
        _write_and_copy_while_mounted(path)
    if kind == "tail":
        with path.open("ab") as image:
            image.write(os.urandom(TAIL_BYTES))
    return files


def describe(kind: Kind) -> str:
    """Return what such an image is."""
    return {
        "plain": f"an ext4 with {_FILES} files",
        "journal": f"an ext4 with {_FILES} files, copied while it was written to: its journal needs recovery",
        "tail": f"an ext4 with {_FILES} files, and {TAIL_BYTES} bytes behind it",
    }[kind]


def _make_files(folder: Path) -> dict[str, str]:
    checksums = {}
    for number in range(1, _FILES + 1):
        content = os.urandom(number * _FILE_BYTES)
        file = folder / f"letters {1983 + number}" / f"letter {number}.txt"
        file.parent.mkdir()
        file.write_bytes(content)
        checksums[str(file.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return checksums


def _make_ext4(image: Path, folder: Path) -> None:
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _SIZE_BYTES)
    run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-d", folder, image)


def _write_and_copy_while_mounted(path: Path) -> None:
    """Make the image of a disk that was pulled out: what was written last is in its journal only."""
    disk, point = path.with_name("disk"), path.with_name("point")
    path.rename(disk)
    point.mkdir()
    with attached(disk, writable=True) as device:
        run("mount", "-t", "ext4", device, point)
        try:
            with (point / "unfinished.txt").open("wb") as file:
                file.write(b"the last words")
                file.flush()
                os.fsync(file.fileno())
            shutil.copyfile(disk, path)
        finally:
            run("umount", point)
    point.rmdir()
    disk.unlink()
    _check_needs_recovery(path)


def _check_needs_recovery(image: Path) -> None:
    with image.open("rb") as file:
        file.seek(_INCOMPAT_OFFSET)
        features = int.from_bytes(file.read(4), "little")
    if not features & _NEEDS_RECOVERY:
        message = f"the journal of {image} is clean"
        raise OSError(message)
