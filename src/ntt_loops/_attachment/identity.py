"""Is that still the same attachment? Asked before anything is done to a device, and after.

A number says nothing: it is handed out again at once (F1). The diskseq tells attachments of one boot apart (F8); where
there is none, the backing file and the random part of the tag do.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from ntt_loops._ledger import Tag

if TYPE_CHECKING:
    from ntt_loops._attachment.device import LoopDevice
    from ntt_loops._kernel import BoundDevice, Kernel, LoopStatus
    from ntt_loops._ledger import Record


@attrs.frozen
class Identity:
    """What tells one attachment from every other. What is None is not known, and not compared."""

    number: int
    diskseq: int | None
    nonce: str | None = None
    #: dev, inode, offset and size limit.
    backing: tuple[int, int, int, int] | None = None

    @classmethod
    def of_record(cls, record: Record) -> Identity:
        """Return what a record says."""
        backing = (record.dev, record.inode, record.offset_bytes, record.size_limit_bytes)
        return cls(record.number, record.diskseq, record.nonce, backing)

    @classmethod
    def of_device(cls, device: LoopDevice) -> Identity:
        """Return what a caller was handed."""
        return cls(device.number, device.diskseq, device.nonce)

    @classmethod
    def of_bound(cls, bound: BoundDevice, status: LoopStatus | None) -> Identity:
        """Return what the kernel said."""
        if status is None:
            return cls(bound.number, bound.diskseq)
        tag = Tag.read(status.name)
        return cls(bound.number, bound.diskseq, None if tag is None else tag.nonce, _backing(status))

    def agrees(self, status: LoopStatus) -> bool:
        """Whether a device with that status can be this one."""
        tag = Tag.read(status.name)
        is_same_nonce = self.nonce is None or (tag is not None and tag.nonce == self.nonce)
        return is_same_nonce and self.backing in (None, _backing(status))

    def is_bound(self, kernel: Kernel, *, within: float | None = None) -> bool:
        """Whether this attachment is still there, a detach under way included. Opens nothing if there is a diskseq.

        Without one the storage is asked: where that may hang, ``within`` so many seconds, and then it is StuckError.
        """
        if not kernel.is_bound(self.number):
            return False
        if self.diskseq is not None:
            return kernel.diskseq(self.number) == self.diskseq
        return self._is_bound_by_status(kernel, within)

    def _is_bound_by_status(self, kernel: Kernel, within: float | None) -> bool:
        try:
            return self.agrees(kernel.status_of(self.number, within=within)[0])
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):  # a detach under way
                return kernel.is_bound(self.number)
            raise


def _backing(status: LoopStatus) -> tuple[int, int, int, int]:
    return (status.backing_dev, status.backing_inode, status.offset_bytes, status.size_limit_bytes)
