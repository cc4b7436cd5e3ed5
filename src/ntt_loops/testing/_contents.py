"""What images hold, for blkid(8) and mount(8) to find: no byte of theirs is read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

import attrs

from ntt_loops._kernel.values import Probe, TableEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

_NODE = re.compile(r"loop(\d+)(?:p(\d+))?", re.ASCII)

#: What a mount that is killed at its deadline left: nothing, or all the same a mount.
Hang = Literal["", "unmounted", "mounted"]


@attrs.frozen
class Content:
    """What begins at one byte of an image."""

    probe: Probe
    #: What mount(8) says instead of mounting it.
    refusal: str = ""
    hang: Hang = ""
    #: What lies on the mount point while it is mounted.
    files: Mapping[str, bytes] = attrs.field(factory=dict)


class Contents:
    """By (dev, inode) of an image and the byte where it begins."""

    def __init__(self) -> None:
        self._found: dict[tuple[tuple[int, int], int], Content] = {}
        self._tables: dict[tuple[tuple[int, int], int], tuple[TableEntry, ...]] = {}

    def put(self, file_id: tuple[int, int], offset_bytes: int, content: Content) -> None:
        """Say what an image holds there."""
        self._found[file_id, offset_bytes] = content

    def at(self, file_id: tuple[int, int], offset_bytes: int) -> Content:
        """Return what is there: nothing, unless something was put."""
        return self._found.get((file_id, offset_bytes), Content(Probe()))

    def put_table(self, file_id: tuple[int, int], offset_bytes: int, table: tuple[TableEntry, ...]) -> None:
        """Say that a partition table begins there."""
        self._tables[file_id, offset_bytes] = table

    def table_at(self, file_id: tuple[int, int], offset_bytes: int) -> tuple[TableEntry, ...]:
        """Return the partition table that begins there."""
        return self._tables.get((file_id, offset_bytes), ())


def parsed(node: str | os.PathLike[str]) -> tuple[int, int | None] | None:
    """Return number and partition of a node, in whatever folder it is."""
    match = _NODE.fullmatch(os.path.basename(os.fspath(node)))
    return None if match is None else (int(match[1]), int(match[2]) if match[2] else None)


def refused(node: str | os.PathLike[str], mount_point: bytes) -> str:
    """Return what mount(8) says of what it cannot mount."""
    point = os.fsdecode(mount_point)
    return (
        f"mount: {point}: wrong fs type, bad option, bad superblock on {os.fspath(node)}, "
        "missing codepage or helper program, or other error."
    )
