"""Disk images with a partition table and file systems in it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.images import make_image
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def make_disk(path: Path, *, partitions: int, label: str = "dos", size_bytes: int = MIB) -> Path:
    """A disk with so many partitions of an ext4 each, which holds one file: its number."""
    with path.open("wb") as disk:
        disk.truncate(MIB * (2 + partitions) + partitions * size_bytes)
    write_table(path, label, [(MIB * (1 + number) // 512, size_bytes // 512, "L") for number in range(partitions)])
    for number in range(partitions):
        put(path, MIB * (1 + number), ext4(path, number + 1, size_bytes))
    return path


def ext4(beside: Path, number: int, size_bytes: int = MIB) -> bytes:
    """The bytes of a file system with one file, "number"."""
    image = make_image(beside.with_name(f"{beside.name}.part"), size_bytes=size_bytes, files={"number": b"%d" % number})
    content = image.read_bytes()
    image.unlink()
    return content


def put(path: Path, offset_bytes: int, content: bytes) -> None:
    """Write something into an image."""
    with path.open("r+b") as disk:
        disk.seek(offset_bytes)
        disk.write(content)


def write_table(path: Path, label: str, parts: list[tuple[int, int, str]], *, cut_bytes: int = 0) -> None:
    """Write a table by sfdisk(8): start and length in sectors, and type, of each partition."""
    script = f"label: {label}\n" + "".join(f"{start},{length},{kind}\n" for start, length, kind in parts)
    subprocess.run(
        [require_tool("sfdisk"), "--quiet", "--no-reread", path], input=script.encode(), check=True, capture_output=True
    )
    if cut_bytes:
        with path.open("r+b") as disk:
            disk.truncate(cut_bytes)
