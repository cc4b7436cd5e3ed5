"""What a release and a sweep tell of what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._attachment import Holder

#: How a device was found to be the medium's: on the ledger, by its tag, by (dev, inode) of its image, by the path of
#: its deleted image, by its image's name, by a sweep of the host, because its image is deleted, or because the
#: device itself was named.
FoundBy = Literal["ledger", "tag", "inode", "path", "name", "deleted", "device"]


@attrs.frozen
class _Plain:
    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


@attrs.frozen
class ReleasedDevice(_Plain):
    """A device that this call detached.

    ``freed_bytes`` is the size of a deleted image whose last device this was, else 0: what its file system got back. Of
    a sparse image that is less, and nothing while a hard link or an open file keeps it.
    """

    device: str
    image: Path
    found_by: FoundBy
    freed_bytes: int


@attrs.frozen
class GoneDevice(_Plain):
    """An attachment that was on record, and that somebody else had ended."""

    device: str
    image: Path


@attrs.frozen
class LeftDevice(_Plain):
    """A device of the same medium id with another image than the one that was named."""

    device: str
    image: Path


@attrs.frozen
class ReleaseReport:
    """What became of a medium's devices.

    Attributes:
        medium: The medium's id; of a device that is of none, its image's name, and "" where nothing is bound.
        released: What this call detached.
        already_gone: What was on record and gone.
        left: Where a path was given: devices of the same id with another image. They were not touched.
        problems: What was wrong with the ledger, in words; the devices were released all the same.
    """

    medium: str
    released: tuple[ReleasedDevice, ...] = ()
    already_gone: tuple[GoneDevice, ...] = ()
    left: tuple[LeftDevice, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def freed_bytes(self) -> int:
        """What the file systems of deleted images got back."""
        return sum(one.freed_bytes for one in self.released)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {**fields_of(self), "freed_bytes": self.freed_bytes}


#: Why a sweep left a device attached.
Reason = Literal[
    "image exists",
    "in use",
    "owner alive",
    "too young",
    "deletion unknown",
    "storage does not answer",
    "detach under way",
    "no node",
    "no time left",
    "may not be opened",
    "failed",
]


@attrs.frozen
class KeptDevice(_Plain):
    """A device that a sweep left attached, and why."""

    device: str
    image: Path
    medium: str | None
    reason: Reason
    holders: tuple[Holder, ...] = ()


@attrs.frozen
class ForgottenRecord(_Plain):
    """A record whose attachment does not exist: ended by somebody else, or of another boot."""

    medium: str
    device: str
    image: Path
    reason: Literal["gone", "another boot"]


@attrs.frozen
class AdoptedDevice(_Plain):
    """A kept device that no ledger had - its maker was killed before it could write - put on record."""

    medium: str
    device: str
    image: Path


@attrs.frozen
class RescuableImage(_Plain):
    """A deleted image that a device still has: ``rescue`` copies it back, as long as the device is attached."""

    device: str
    image: Path
    size_bytes: int


@attrs.frozen
class SweepReport:
    """What a sweep did, or in a dry run what it would have done.

    Attributes:
        dry_run: Whether nothing was changed.
        released: The devices that were detached.
        kept: The devices it looked at and left, each with the reason.
        forgotten: Records of attachments that do not exist.
        adopted: Kept devices that were put on record.
        problems: What was wrong with the ledger, or with one device, in words; the rest was swept all the same.
        rescuable: The deleted images among these, as far as they can still be rescued, each with one device of it. In
            a dry run that is also what would be released.
    """

    dry_run: bool
    released: tuple[ReleasedDevice, ...] = ()
    kept: tuple[KeptDevice, ...] = ()
    forgotten: tuple[ForgottenRecord, ...] = ()
    adopted: tuple[AdoptedDevice, ...] = ()
    problems: tuple[str, ...] = ()
    rescuable: tuple[RescuableImage, ...] = ()

    @property
    def freed_bytes(self) -> int:
        """What the file systems of deleted images got back."""
        return sum(one.freed_bytes for one in self.released)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {**fields_of(self), "freed_bytes": self.freed_bytes}
