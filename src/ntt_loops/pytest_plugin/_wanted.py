"""What an image is to be: checked before anything is made."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

import attrs

from ntt_loops.testing._files import checked as checked_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ntt_loops.pytest_plugin import PartitionContent

MIB: Final = 2**20
SECTOR_BYTES: Final = 512
#: What mkfs can do with by default, and with what it says no; sparse files take little of it.
_ROOM_BYTES: Final = {
    "ext2": 8 * MIB,
    "ext3": 8 * MIB,
    "ext4": 8 * MIB,
    "btrfs": 128 * MIB,
    "vfat": 8 * MIB,
    "xfs": 320 * MIB,
}
#: The option by which mkfs copies a folder.
FOLDER_OPTIONS: Final = {"ext2": "-d", "ext3": "-d", "ext4": "-d", "btrfs": "--rootdir"}
#: By kind of table: the type of a partition for Linux, and for FAT, as sfdisk(8) is told; and how many there can be.
_TYPES: Final = {
    "dos": ("83", "c"),
    "gpt": ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
}
_MOST: Final = {"dos": 4, "gpt": 128}


@attrs.frozen
class Content:
    """A file system, or nothing at all, and its place."""

    fstype: str | None
    files: Mapping[str, bytes]
    size_bytes: int
    start_bytes: int = 0
    #: As the table has it; "" of a whole image.
    type: str = ""

    @property
    def end_bytes(self) -> int:
        """The byte behind it."""
        return self.start_bytes + self.size_bytes


@attrs.frozen
class Wanted:
    """An image."""

    name: str
    size_bytes: int
    whole: Content
    partitions: tuple[Content, ...]
    label: str


def content_of(fstype: str | None, files: Mapping[str, bytes] | None, size_bytes: int | None) -> Content:
    """Return what is to be made in a place of that length, or of one that is long enough."""
    if fstype is not None and fstype not in _ROOM_BYTES:
        message = f"fstype is {_one_of(_ROOM_BYTES)}, or None for no file system, not {fstype!r}"
        raise ValueError(message)
    if files and fstype not in FOLDER_OPTIONS:
        message = f"files can be put into {_one_of(FOLDER_OPTIONS)} only, not into {fstype or 'no file system'}"
        raise ValueError(message)
    if size_bytes is not None and size_bytes <= 0:
        message = f"size_bytes is positive, not {size_bytes}"
        raise ValueError(message)
    checked = checked_files(files or {})
    return Content(fstype, checked, _room_bytes(fstype, checked) if size_bytes is None else size_bytes)


def _room_bytes(fstype: str | None, files: Mapping[str, bytes]) -> int:
    """Return what is needed, in whole MiB: the files take up to twice their length, with folders and journal."""
    least = MIB if fstype is None else _ROOM_BYTES[fstype]
    return least + -(-2 * sum(map(len, files.values())) // MIB) * MIB


def partitions_of(contents: Sequence[PartitionContent], label: str) -> tuple[Content, ...]:
    """Place partitions one behind the other, each at a whole MiB."""
    if label not in _TYPES:
        message = f"label is {_one_of(_TYPES)}, not {label!r}"
        raise ValueError(message)
    if len(contents) > _MOST[label]:
        message = f"a {label} table made here has {_MOST[label]} partitions at most, not {len(contents)}"
        raise ValueError(message)
    placed: list[Content] = []
    for number, content in enumerate(contents, 1):
        start_bytes = _next_mib(placed[-1].end_bytes) if placed else MIB
        placed.append(attrs.evolve(_partition(content, number, label), start_bytes=start_bytes))
    return tuple(placed)


def _partition(content: PartitionContent, number: int, label: str) -> Content:
    if unknown := sorted(content.keys() - {"fstype", "files", "size_bytes"}):
        message = f"partition {number}: it has fstype, files and size_bytes, not {unknown[0]!r}"
        raise ValueError(message)
    try:
        made = content_of(content.get("fstype"), content.get("files"), content.get("size_bytes"))
    except ValueError as error:
        message = f"partition {number}: {error}"
        raise ValueError(message) from None
    if made.size_bytes % SECTOR_BYTES:
        message = f"partition {number}: size_bytes is in whole sectors of {SECTOR_BYTES}, not {made.size_bytes}"
        raise ValueError(message)
    linux, fat = _TYPES[label]
    return attrs.evolve(made, type=fat if made.fstype == "vfat" else linux)


def image_of(  # noqa: PLR0913 - what loop_image is asked for
    *,
    name: str | None,
    size_bytes: int | None,
    fstype: str | None,
    files: Mapping[str, bytes] | None,
    partitions: Sequence[PartitionContent],
    label: str,
) -> Wanted:
    """Check all that is asked for."""
    name = f"{secrets.token_hex(16)}.img" if name is None else name
    if name in ("", ".", "..") or os.path.basename(name) != name or "\0" in name:
        message = f"name is that of a file below tmp_path, not {name!r}"
        raise ValueError(message)
    if partitions and (fstype is not None or files):
        raise ValueError("fstype and files belong to the partitions here: say them in each one")
    whole = content_of(fstype, files, size_bytes)
    placed = partitions_of(partitions, label)
    # A GPT is there twice, at the end too.
    needed = _next_mib(placed[-1].end_bytes) + MIB if placed else whole.size_bytes
    if size_bytes is not None and size_bytes < needed:
        message = f"the partitions need size_bytes of {needed} or more, not {size_bytes}"
        raise ValueError(message)
    return Wanted(name, needed if size_bytes is None else size_bytes, whole, placed, label)


def _next_mib(offset_bytes: int) -> int:
    return -(-offset_bytes // MIB) * MIB


def _one_of(names: Mapping[str, object]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
