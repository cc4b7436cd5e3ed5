"""What is asked of an attach, and what comes of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ntt_loops._attachment.device import LoopDevice
    from ntt_loops._attachment.image import Extent, OpenImage
    from ntt_loops._kernel import Handle
    from ntt_loops._ledger import Lifetime, Record

logger = logging.getLogger("ntt_loops")


class NoHandle:
    """Stands for no descriptor."""

    closed = True

    def close(self) -> None:
        """Do nothing."""


#: What there is before anything was opened.
NO_HANDLE = NoHandle()


@attrs.frozen
class Request:
    """What is to be attached, and how."""

    image: OpenImage
    medium: str
    extent: Extent
    writable: bool
    lifetime: Lifetime


@attrs.frozen
class Binding:
    """An image that is bound and on record; ``handle`` keeps a scoped one alive."""

    handle: Handle
    device: LoopDevice
    record: Record


def warn(binding: Binding, request: Request) -> None:
    """Warn of what the device does not show, and of what may be lost on it."""
    device, image = binding.device, request.image
    facts = {"medium": device.medium, "device": str(device), "image": image.path}
    if image.tail_bytes:
        logger.warning(
            "%s: the last %d bytes of %s are no whole sector and cannot be read through the device",
            device,
            image.tail_bytes,
            image.path,
            extra=facts,
        )
    if request.writable and image.is_sparse:
        logger.warning(
            "%s: %s is sparse: on a full file system a write through the device may be lost without an error",
            device,
            image.path,
            extra=facts,
        )
