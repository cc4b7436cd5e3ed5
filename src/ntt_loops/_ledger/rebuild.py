"""What a lost ledger file held, told by the tags of the devices that are bound (F4)."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops._ledger.record import Record
from ntt_loops._ledger.tag import Tag, token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._kernel import BoundDevice, Kernel, LoopStatus


def from_tags(kernel: Kernel, registry: str, medium: str) -> Iterator[Record]:
    """Yield a record for each bound device with this registry's tag of the medium.

    A device whose image may hang is passed over, since the lock is held (F21); a release finds it by its tag.
    """
    token = token_of(medium)
    seen = [bound for number in kernel.bound_numbers() if (bound := kernel.look(number)) is not None]
    if not seen or kernel.is_remote_elsewhere():
        return
    hangs = kernel.may_hang([bound.backing_file for bound in seen])
    for bound in (bound for bound, hang in zip(seen, hangs, strict=True) if not hang):
        status = _status(kernel, bound)
        tag = None if status is None else Tag.read(status.name)
        if status is not None and tag is not None and (tag.registry, tag.token) == (registry, token):
            yield record_of_tagged(kernel, bound, status, tag)


def record_of_tagged(kernel: Kernel, bound: BoundDevice, status: LoopStatus, tag: Tag) -> Record:
    """Return the record of a tagged device; who made it, and when, is not known any more."""
    return Record(
        number=bound.number,
        diskseq=bound.diskseq,
        nonce=tag.nonce,
        image=bound.backing_file.removesuffix(DELETED_SUFFIX),
        dev=status.backing_dev,
        inode=status.backing_inode,
        offset_bytes=status.offset_bytes,
        size_limit_bytes=status.size_limit_bytes,
        lifetime="kept" if tag.kept else "scoped",
        owner=None,
        time=time.time(),
        uptime=kernel.uptime(),
    )


def _status(kernel: Kernel, bound: BoundDevice) -> LoopStatus | None:
    try:
        status, diskseq = kernel.status_of(bound.number)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE):
            raise
        return None  # a detach under way, or dead storage: a release finds it by its tag once it answers
    is_same = diskseq == bound.diskseq and kernel.look(bound.number) == bound
    return status if is_same else None
