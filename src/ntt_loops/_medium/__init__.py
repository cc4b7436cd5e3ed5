"""All devices of a medium, and all devices of the host: releasing, sweeping, listing."""

from __future__ import annotations

from ntt_loops._medium.candidates import Medium
from ntt_loops._medium.device_finder import is_there
from ntt_loops._medium.host import DeviceState, list_devices
from ntt_loops._medium.idle import release_idle
from ntt_loops._medium.listing import AttachmentState, MediumState, list_media
from ntt_loops._medium.meant import medium_meant, real_paths
from ntt_loops._medium.plan import Scope
from ntt_loops._medium.recorded_sweep import recorded_sweep
from ntt_loops._medium.release import release_medium
from ntt_loops._medium.release_one import release_device, release_number
from ntt_loops._medium.reports import (
    AdoptedDevice,
    ForgottenRecord,
    GoneDevice,
    KeptDevice,
    LeftDevice,
    ReleasedDevice,
    ReleaseReport,
    RescuableImage,
    SweepReport,
)
from ntt_loops._medium.sweep import sweep

__all__ = [
    "AdoptedDevice",
    "AttachmentState",
    "DeviceState",
    "ForgottenRecord",
    "GoneDevice",
    "KeptDevice",
    "LeftDevice",
    "Medium",
    "MediumState",
    "ReleaseReport",
    "ReleasedDevice",
    "RescuableImage",
    "Scope",
    "SweepReport",
    "is_there",
    "list_devices",
    "list_media",
    "medium_meant",
    "real_paths",
    "recorded_sweep",
    "release_device",
    "release_idle",
    "release_medium",
    "release_number",
    "sweep",
]
