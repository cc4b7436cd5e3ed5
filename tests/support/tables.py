"""Partition tables, written by hand or by sfdisk(8)."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from typing import TYPE_CHECKING

from tests.support.needs import require_tool
from tests.support.oracle import run

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512


def mbr(*places: tuple[int, int, int]) -> bytes:
    """An MBR with these primary partitions: start and length in sectors, and the type."""
    entries = [struct.pack("<B3sB3s2I", 0, b"", kind, b"", start, length) for start, length, kind in places]
    return b"".join(entries).rjust(446 + 16 * len(entries), b"\0").ljust(510, b"\0") + b"\x55\xaa"


def apple_map(*partitions: tuple[str, int, int]) -> bytes:
    """An Apple partition map: the driver descriptor, then an entry for the map itself and one for each partition."""
    all_of_them = [("Apple_partition_map", 1, len(partitions) + 1), *partitions]
    driver = struct.pack(">2sHI", b"ER", SECTOR, 0).ljust(SECTOR, b"\0")
    return driver + b"".join(_apple_entry(len(all_of_them), *one) for one in all_of_them)


def _apple_entry(count: int, kind: str, start: int, length: int) -> bytes:
    name = b"a name with blanks"
    return struct.pack(">2sHIII32s32s", b"PM", 0, count, start, length, name, kind.encode()).ljust(SECTOR, b"\0")


def write(image: Path, table: bytes) -> None:
    """Put a table at the beginning of an image."""
    with image.open("r+b") as file:
        file.write(table)


def partitioned(image: Path, size_bytes: int, *lines: str) -> Path:
    """Make an image with the table that sfdisk(8) is told: "label: gpt", "start=2048, size=8"."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    sfdisk(image, *lines)
    return image


def sfdisk(target: Path, *lines: str) -> None:
    """Let sfdisk(8) write a table, and no more than that."""
    command = [require_tool("sfdisk"), "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "always", str(target)]
    subprocess.run(command, input="\n".join(lines) + "\n", text=True, check=True, capture_output=True)


def by_sfdisk(target: Path | str) -> dict[int, tuple[int, int, str]]:
    """Return what sfdisk(8) reads: start and size in bytes, and the type, by number."""
    table = json.loads(run(require_tool("sfdisk"), "--json", target))["partitiontable"]
    sector, prefix = table["sectorsize"], os.fspath(target)
    return {
        int(one["node"].removeprefix(prefix).removeprefix("p")): (
            one["start"] * sector,
            one["size"] * sector,
            one["type"].lower(),
        )
        for one in table["partitions"]
    }


def by_partx(target: Path | str) -> dict[int, tuple[int, int]]:
    """Return what ``partx --show`` lists: start and size in bytes by number."""
    lines = run(require_tool("partx"), "--show", "--noheadings", "--output", "NR,START,SECTORS", target).splitlines()
    fields = [list(map(int, line.split())) for line in lines]
    return {number: (start * SECTOR, sectors * SECTOR) for number, start, sectors in fields}
