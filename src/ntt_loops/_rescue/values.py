"""What a rescue says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._attachment import Holder


@attrs.frozen
class LostBytes:
    """Bytes of an image that its device does not show, so that no copy of it has them.

    Attributes:
        start_bytes: Where in the image they begin.
        end_bytes: Where they end; None where the image's size is not on record.
        why: Why the device does not show them.
    """

    start_bytes: int
    end_bytes: int | None
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


@attrs.frozen
class RescueReport:
    """An image that was copied back.

    Attributes:
        device: The device that it was read from, and that still has it.
        image: The path that it had.
        file: The copy.
        size_bytes: How much the copy has.
        hole_bytes: How much of that is zeros that take no room.
        sha256: Of the copy, and of what the device showed twice, in hexadecimal.
        lost: What of the image is not in the copy.
        holders: Who has a device open that can be written to: what they write later is not in the copy either.
    """

    device: str
    image: Path
    file: Path
    size_bytes: int
    hole_bytes: int
    sha256: str
    lost: tuple[LostBytes, ...]
    holders: tuple[Holder, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return fields_of(self)
