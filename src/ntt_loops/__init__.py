"""Loop devices that cannot leak.

::

    with attached("/data/fast/img/536a933b4481f605fcd44615740a9025.img") as device:
        subprocess.run(["blkid", device])

    release_all("536a933b4481f605fcd44615740a9025", unmount=True)   # before the image is packed, and before its unlink
    sweep()                                                          # periodic safety net
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops._attachment import Holder, LoopAttachment, LoopDevice, Partition
    from ntt_loops._checkup import Check, MachineReport
    from ntt_loops._default import (
        attach_kept,
        attached,
        check_machine,
        free_numbers,
        holders,
        last_sweep,
        list_devices,
        list_media,
        mount_medium,
        mounted,
        mounted_medium,
        release,
        release_all,
        release_all_async,
        rescue,
        sweep,
        sweep_async,
        unmount_medium,
    )
    from ntt_loops._ledger import LastSweep
    from ntt_loops._loops import Loops
    from ntt_loops._medium import (
        AdoptedDevice,
        AttachmentState,
        DeviceState,
        ForgottenRecord,
        GoneDevice,
        KeptDevice,
        LeftDevice,
        MediumState,
        ReleasedDevice,
        ReleaseReport,
        RescuableImage,
        SweepReport,
    )
    from ntt_loops._mounted_medium import MountedMedium, MountedPartition
    from ntt_loops._rescue import LostBytes, RescueReport
    from ntt_loops.errors import (
        AttachError,
        DeviceBusyError,
        ImageError,
        ImageNotFoundError,
        ImagePermissionError,
        ImageWriteError,
        KernelError,
        LedgerError,
        LoopPermissionError,
        LoopUnavailableError,
        MediumError,
        MountError,
        MountTimeoutError,
        NttLoopsError,
        RescueError,
    )

__version__ = "0.1.0"

__all__ = [
    "AdoptedDevice",
    "AttachError",
    "AttachmentState",
    "Check",
    "DeviceBusyError",
    "DeviceState",
    "ForgottenRecord",
    "GoneDevice",
    "Holder",
    "ImageError",
    "ImageNotFoundError",
    "ImagePermissionError",
    "ImageWriteError",
    "KeptDevice",
    "KernelError",
    "LastSweep",
    "LedgerError",
    "LeftDevice",
    "LoopAttachment",
    "LoopDevice",
    "LoopPermissionError",
    "LoopUnavailableError",
    "Loops",
    "LostBytes",
    "MachineReport",
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
    "RescuableImage",
    "RescueError",
    "RescueReport",
    "SweepReport",
    "attach_kept",
    "attached",
    "check_machine",
    "free_numbers",
    "holders",
    "last_sweep",
    "list_devices",
    "list_media",
    "mount_medium",
    "mounted",
    "mounted_medium",
    "release",
    "release_all",
    "release_all_async",
    "rescue",
    "sweep",
    "sweep_async",
    "unmount_medium",
]

#: Where these names are from; the first one that has a name is right, and the last ones take longest to import.
_HOMES = ("errors", "_default", "_attachment", "_loops", "_ledger", "_medium", "_mounted_medium", "_rescue", "_checkup")

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        """Import a name at its first use (PEP 562): the command line's --help has use for none of them."""
        from importlib import import_module  # noqa: PLC0415 - as late as the rest

        if name == "errors":
            return import_module("ntt_loops.errors")
        if name in __all__:
            for home in _HOMES:
                module = import_module(f"ntt_loops.{home}")
                if hasattr(module, name):
                    return globals().setdefault(name, getattr(module, name))
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "errors"})
