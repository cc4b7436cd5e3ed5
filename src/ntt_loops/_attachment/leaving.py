"""What a scoped attachment's exit waits for, and what it says when that did not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._attachment import leftover
from ntt_loops._attachment.holders import find_holders, other_holder, say
from ntt_loops._backoff import wait_until
from ntt_loops.errors import DeviceBusyError, ImageWriteError

if TYPE_CHECKING:
    from ntt_loops._attachment.device import LoopDevice
    from ntt_loops._attachment.holders import Holder
    from ntt_loops._attachment.identity import Identity
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel


def wait_gone(kernel: Kernel, identity: Identity, deadline: Deadline) -> list[Holder]:
    """Ask sysfs until the attachment and its partitions are gone; return who keeps it where it is not."""
    is_gone = wait_until(lambda: not identity.is_bound(kernel), deadline)
    found = [] if is_gone else find_holders(kernel, identity.number)
    if is_gone or not identity.is_bound(kernel):
        leftover.wait_dropped(kernel, identity.number, deadline)
        return []
    return found or [other_holder(kernel, identity.number, "unknown")]


def still_busy(device: LoopDevice, holders: list[Holder]) -> DeviceBusyError:
    """Return the error of an exit that found the device in use."""
    message = (
        f"{device} (medium {device.medium}, {device.image}) is still in use: {say(holders)}; "
        "it was let go here and is detached by the kernel after its last user"
    )
    return DeviceBusyError(message, medium=device.medium, device=device, image=device.image, holders=tuple(holders))


def not_written(device: LoopDevice, error: OSError) -> ImageWriteError:
    """Return the error of an exit whose flush failed."""
    message = (
        f"what was written to {device} may not be in {device.image} (medium {device.medium}): {error.strerror}; "
        "do not use the image as it is"
    )
    return ImageWriteError(message, medium=device.medium, device=device, image=device.image, errno=error.errno)
