"""What the label of an LVM physical volume tells: its volume group, and the logical volumes in it.

It is read in the image: no tool that activates volumes is needed, and no device. The layout is that of LVM2's
``lib/format_text/layout.h``: a label in one of the first four sectors leads to the area of the metadata, a text.
"""

from __future__ import annotations

import re
import struct
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_SECTOR_BYTES = 512
_LABEL = struct.Struct("<8sQII8s")
_UUID_BYTES = 32
_PLACE = struct.Struct("<QQ")
_AREA = struct.Struct("<I16sIQQQQ")
_AREA_MAGIC = b" LVM2 x[5A%r0N*>"
_LONGEST_TEXT_BYTES = 16 * 2**20


class VolumeGroup(NamedTuple):
    """What ntt-mount-helper says of an LVM member."""

    lvm_type: str
    pv_uuid: str
    vg_name: str
    lv_names: list[str]


def volume_group(image: Path, start_bytes: int) -> VolumeGroup | None:
    """Return what the physical volume that begins there belongs to; None where its metadata cannot be read."""
    with image.open("rb") as file:
        try:
            return _read(file, start_bytes)
        except (struct.error, ValueError):  # cut short, or no LVM2
            return None


def _read(file: IO[bytes], start: int) -> VolumeGroup:
    header = start + _find_header(file, start)
    uuid = _at(file, header, _UUID_BYTES).decode("ascii")
    areas = header + _UUID_BYTES + 8
    while _PLACE.unpack(_at(file, areas, _PLACE.size))[0]:  # the data areas, up to an empty one
        areas += _PLACE.size
    area = start + _PLACE.unpack(_at(file, areas + _PLACE.size, _PLACE.size))[0]
    text = _metadata(file, area)
    name, *_ = text.split(maxsplit=1)
    return VolumeGroup("LVM2_member", _with_dashes(uuid), name, _logical_volumes(text))


def _find_header(file: IO[bytes], start: int) -> int:
    for sector in range(4):
        place = sector * _SECTOR_BYTES
        magic, _, _, offset, kind = _LABEL.unpack(_at(file, start + place, _LABEL.size))
        if (magic, kind) == (b"LABELONE", b"LVM2 001"):
            return place + int(offset)
    message = "no label"
    raise ValueError(message)


def _metadata(file: IO[bytes], area: int) -> str:
    """Return the newest text. The area is a ring: what reaches its end goes on behind its header."""
    _, magic, _, _, size, offset, length = _AREA.unpack(_at(file, area, _AREA.size))
    if magic != _AREA_MAGIC or not 0 < length <= _LONGEST_TEXT_BYTES:
        message = "no metadata"
        raise ValueError(message)
    before_end = min(length, size - offset)
    text = _at(file, area + offset, before_end) + _at(file, area + _SECTOR_BYTES, length - before_end)
    return text.rstrip(b"\0").decode("ascii")


def _logical_volumes(text: str) -> list[str]:
    sections: list[str] = []
    found = []
    bare = re.sub(r'"(?:\\.|[^"\\])*"|#[^\n]*', "", text)  # strings and comments may hold braces
    for opened in re.findall(r"([\w.+-]+) \{|\}", bare):
        if not opened:
            sections = sections[:-1]
            continue
        if sections[1:] == ["logical_volumes"]:
            found.append(opened)
        sections.append(opened)
    return found


def _at(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _with_dashes(uuid: str) -> str:
    """Return a UUID as LVM writes it."""
    ends = (6, 10, 14, 18, 22, 26, 32)
    return "-".join(uuid[start:end] for start, end in zip((0, *ends), ends, strict=False))
