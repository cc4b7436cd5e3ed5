"""What is measured of a host's loop devices, as plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ntt_loops
from ntt_loops.cli.who import state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops import DeviceState

STATES = ("scoped", "mounted", "kept", "orphan", "foreign")


def measures(timeout: float) -> dict[str, Any]:
    """Look once."""
    devices = ntt_loops.list_devices(timeout=timeout)
    states = [_state(one) for one in devices]
    last = ntt_loops.last_sweep()
    return {
        "devices": {name: states.count(name) for name in STATES},
        "stuck_devices": sum(one.is_stuck for one in devices),
        "deleted_bytes": _deleted_bytes(devices),
        "oldest_kept_seconds": max((one.age_seconds or 0.0 for one in devices if one.made_by == "kept"), default=0.0),
        "free_numbers": ntt_loops.free_numbers(),
        "last_sweep": None if last is None else last.to_dict(),
    }


def _state(device: DeviceState) -> str:
    """Return one of ``STATES``: an orphan is nothing else beside."""
    is_used = device.holders or device.owner_is_alive
    return "orphan" if device.is_deleted and not is_used else state(device)


def _deleted_bytes(devices: Iterable[DeviceState]) -> int:
    """Return the sizes of the deleted images, each once, as its device shows that has most of it."""
    sizes: dict[object, int] = {}
    for one in devices:
        if one.is_deleted:
            key = one.image_id or one.device
            sizes[key] = max(sizes.get(key, 0), one.size_bytes)
    return sum(sizes.values())
