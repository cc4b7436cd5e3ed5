"""Images for tests: small, and with a file system whose content is known."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.support.needs import require_tool
from tests.support.oracle import run

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SIZE_BYTES = 8 * 1024 * 1024
#: What an image without a file system is filled with: blkid finds nothing in it.
PATTERN = b"ntt-loops test image\n".ljust(512, b".")


def make_image(
    path: Path,
    *,
    size_bytes: int = DEFAULT_SIZE_BYTES,
    fs: Literal["ext4"] | None = "ext4",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Make an image with an ext4 that holds these files, by their relative names, or with a mere pattern."""
    if fs is None:
        if files:
            raise ValueError("files need a file system")
        _write_pattern(path, size_bytes)
    else:
        _make_ext4(path, size_bytes, files or {})
    return path


def _write_pattern(path: Path, size_bytes: int) -> None:
    path.write_bytes((PATTERN * (size_bytes // len(PATTERN) + 1))[:size_bytes])


def _make_ext4(path: Path, size_bytes: int, files: Mapping[str, bytes]) -> None:
    mkfs = require_tool("mkfs.ext4")
    with path.open("wb") as image:
        image.truncate(size_bytes)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        run(mkfs, "-q", "-F", "-d", folder, path)
