"""What a caller is told of a mounted medium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._attachment import LoopDevice

Layout = Literal["single", "multi"]
Status = Literal["ok", "failed", "truncated", "lvm_detected", "lvm_no_metadata", "raid_member", "swap", "extended"]


@attrs.frozen
class MountedPartition:
    """A partition of a medium, or the whole of it, and whether it is mounted.

    Attributes:
        number: The partition's number; None: the whole disk.
        device: Its node.
        mount_point: Where it is mounted; None where it is not.
        fstype: The file system that it is mounted as; else what blkid(8) found, "" where that was nothing.
        status: ``ok``: mounted. ``failed``: not. ``truncated``: the image ends before it does, so that its mount would
            hang; not tried. ``lvm_detected``, ``lvm_no_metadata`` (the label is there, but no volume group can be read
            of it), ``raid_member``, ``swap``, ``extended`` (a mere container): seen, and left alone.
        error: Why it is not mounted, in mount(8)'s own words where it was tried.
        start_bytes: Where on the disk it begins.
        size_bytes: How long it is, by the table.
        type: The table's word for what it is, such as ``0x83`` or a GUID; "" of a whole disk.
    """

    number: int | None
    device: str
    mount_point: Path | None
    fstype: str
    status: Status
    error: str
    start_bytes: int
    size_bytes: int
    type: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


@attrs.frozen
class MountedMedium:
    """A medium that is mounted.

    Attributes:
        medium: The medium's id.
        image: The image's absolute path.
        layout: ``single``: one file system, at ``mount_point`` itself. ``multi``: several, each at ``mount_point/pN``.
        mount_point: The medium's folder below the root.
        partitions: What is on it, mounted or not, by number.
        devices: The loop devices below the mounts; one, unless somebody mounted by hand.
        offset_bytes: Where in the image the device begins: 0, or 16384 for a Zip disk whose file system begins there.
        hybrid: Whether the whole disk is mounted though it has a partition table, as of a disc for two worlds.
        is_new: Whether this call mounted it; else it was found mounted, and what was missing was added.
    """

    medium: str
    image: Path
    layout: Layout
    mount_point: Path
    partitions: tuple[MountedPartition, ...]
    devices: tuple[LoopDevice, ...]
    offset_bytes: int
    hybrid: bool
    is_new: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)
