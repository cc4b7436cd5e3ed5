"""Whether a physical volume of LVM says which volume group it belongs to.

One that was made without a metadata area, or taken out of its group, has a label and no more: nothing can be assembled
of it. It is read in the image, by the layout of LVM2's ``lib/format_text/layout.h``: no tool that activates volumes is
needed.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops._kernel.values import SECTOR_BYTES

if TYPE_CHECKING:
    import io
    from pathlib import Path

#: "LABELONE", sector, checksum, where the header begins, "LVM2 001".
_LABEL = struct.Struct("<8sQII8s")
#: The label is in one of so many sectors.
_LABEL_SECTORS = 4
#: The volume's UUID and its size come before the areas, each with its offset and size; an empty one ends a list.
_BEFORE_AREAS = 32 + 8
_AREA = struct.Struct("<QQ")
_MOST_AREAS = 16
#: Checksum, magic, version, start, size; then offset and size of the text.
_METADATA = struct.Struct("<I16sIQQQQ")
_MAGIC = b" LVM2 x[5A%r0N*>"


def has_metadata(image: Path, start_bytes: int) -> bool:
    """Whether the physical volume that begins there has a metadata area with a text in it."""
    try:
        with open_descriptor(image, os.O_RDONLY) as file:
            return _has_metadata(file, start_bytes)
    except (OSError, struct.error):  # not to be read, or cut short
        return False


def _has_metadata(file: io.FileIO, start: int) -> bool:
    header = _header(file, start)
    if header is None:
        return False
    place = header + _BEFORE_AREAS
    _, place = _areas(file, place)  # those of the data
    found, _ = _areas(file, place)
    return any(_holds_text(file, start + offset) for offset in found)


def _header(file: io.FileIO, start: int) -> int | None:
    for sector in range(_LABEL_SECTORS):
        place = start + sector * SECTOR_BYTES
        magic, _, _, offset, kind = _read(file, place, _LABEL)
        if (magic, kind) == (b"LABELONE", b"LVM2 001"):
            return place + int(offset)
    return None


def _areas(file: io.FileIO, place: int) -> tuple[list[int], int]:
    """Return where the areas of a list begin, and where the list ends."""
    found: list[int] = []
    for _ in range(_MOST_AREAS):
        offset, _size = _read(file, place, _AREA)
        place += _AREA.size
        if offset == 0:
            break
        found.append(offset)
    return found, place


def _holds_text(file: io.FileIO, place: int) -> bool:
    _, magic, _, _, _, offset, size = _read(file, place, _METADATA)
    return bool(magic == _MAGIC and offset and size)


def _read(file: io.FileIO, place: int, layout: struct.Struct) -> tuple[Any, ...]:
    return layout.unpack(os.pread(file.fileno(), layout.size, place))
