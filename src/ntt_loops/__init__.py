"""Loop devices that cannot leak.

::

    with attached("/data/fast/img/536a933b4481f605fcd44615740a9025.img") as device:
        subprocess.run(["blkid", device])

    release_all("536a933b4481f605fcd44615740a9025", unmount=True)   # before the image is packed, and before its unlink
    sweep()                                                          # periodic safety net
"""

from __future__ import annotations

from ntt_loops._attachment import Holder, LoopAttachment, LoopDevice, Partition
from ntt_loops._default import (
    attach_kept,
    attached,
    holders,
    list_media,
    mount_medium,
    mounted,
    mounted_medium,
    release,
    release_all,
    sweep,
    unmount_medium,
)
from ntt_loops._loops import Loops
from ntt_loops._medium import (
    AdoptedDevice,
    AttachmentState,
    ForgottenRecord,
    GoneDevice,
    KeptDevice,
    LeftDevice,
    MediumState,
    ReleasedDevice,
    ReleaseReport,
    SweepReport,
)
from ntt_loops._mounted_medium import MountedMedium, MountedPartition
from ntt_loops.errors import (
    AttachError,
    DeviceBusyError,
    ImageError,
    ImageNotFoundError,
    ImagePermissionError,
    ImageWriteError,
    LedgerError,
    LoopPermissionError,
    LoopUnavailableError,
    MediumError,
    MountError,
    MountTimeoutError,
    NttLoopsError,
)

__all__ = [
    "AdoptedDevice",
    "AttachError",
    "AttachmentState",
    "DeviceBusyError",
    "ForgottenRecord",
    "GoneDevice",
    "Holder",
    "ImageError",
    "ImageNotFoundError",
    "ImagePermissionError",
    "ImageWriteError",
    "KeptDevice",
    "LedgerError",
    "LeftDevice",
    "LoopAttachment",
    "LoopDevice",
    "LoopPermissionError",
    "LoopUnavailableError",
    "Loops",
    "MediumError",
    "MediumState",
    "MountError",
    "MountTimeoutError",
    "MountedMedium",
    "MountedPartition",
    "NttLoopsError",
    "Partition",
    "ReleaseReport",
    "ReleasedDevice",
    "SweepReport",
    "attach_kept",
    "attached",
    "holders",
    "list_media",
    "mount_medium",
    "mounted",
    "mounted_medium",
    "release",
    "release_all",
    "sweep",
    "unmount_medium",
]
