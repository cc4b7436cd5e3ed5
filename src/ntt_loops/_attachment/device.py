"""What a caller is handed: a device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._attachment import partitions
from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops._attachment.partitions import Partition
    from ntt_loops._kernel import Kernel


@attrs.frozen
class LoopDevice(os.PathLike[str]):
    """One attachment: an image on a loop device; usable wherever a path is.

    Attributes:
        path: The node, such as ``/dev/loop17``.
        number: The number in it.
        diskseq: The kernel's number of this attachment since boot; None before Linux 5.15 (F8).
        image: The image's absolute path at the attach.
        medium: The medium's id.
        size_bytes: What the device shows: whole sectors of 512 bytes (F5).
        tail_bytes: What the image has behind that, shown by no loop device.
        read_only: Whether the kernel refuses writes (F7).
    """

    path: Path
    number: int
    diskseq: int | None
    image: Path
    medium: str
    size_bytes: int
    tail_bytes: int
    read_only: bool
    #: The attachment's own random identity, for where there is no diskseq.
    nonce: str = attrs.field(repr=False)
    _kernel: Kernel | None = attrs.field(default=None, repr=False, eq=False)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __reduce__(self) -> tuple[Callable[..., LoopDevice], tuple[Any, ...]]:
        fields = [getattr(self, field.name) for field in attrs.fields(LoopDevice) if field.name != "_kernel"]
        return LoopDevice, tuple(fields)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions of the table and of the kernel, by number; read anew at each access.

        Where the kernel did not read the table that is there, what fits on the device is added now, by partx(8); the
        kernel drops it at the detach. Empty once the number belongs to another attachment.

        Raises:
            LoopPermissionError: The device may not be opened.
            KernelError: partx(8) is not installed, or did not end: the storage is slow, or does not answer.

        Needs root: read access to the node, and CAP_SYS_ADMIN to add. Some milliseconds, for the program.
        """
        return partitions.read(self._kernel or _linux(), self)

    def partition(self, number: int) -> Partition:
        """Return the partition of that number.

        Raises:
            LookupError: Neither the table nor the kernel has one of that number.
            LoopPermissionError: As in ``partitions``; so is KernelError.
        """
        for one in self.partitions:
            if one.number == number:
                return one
        message = f"{self.path} has no partition {number}"
        raise LookupError(message)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data, without the partitions."""
        return fields_of(self)


def _linux() -> Kernel:
    """Return the kernel of a device that came from another process."""
    from ntt_loops._kernel.linux import LinuxKernel  # noqa: PLC0415 - not on every system that imports this

    return LinuxKernel()
