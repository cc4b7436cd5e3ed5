"""Binding an image to a device and putting that on record, as one step that nothing can interrupt half-done.

A scoped device is armed from birth (AUTOCLEAR) and held by one descriptor: whatever ends that descriptor detaches it
(F11). A kept one carries its tag from birth, so that it is known even if the record was never written. So neither an
intent record nor a signal handler is needed.
"""

from __future__ import annotations

import errno
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ntt_loops._attachment import leftover, overlap
from ntt_loops._attachment.binding import NO_HANDLE, Binding, Request, warn
from ntt_loops._attachment.device import LoopDevice
from ntt_loops._attachment.unavailable import attach_error, no_free_device
from ntt_loops._backoff import Deadline, NotYet, retry
from ntt_loops._kernel import LoopConfig, NoNodeError
from ntt_loops._ledger import Record, Tag, new_nonce, token_of
from ntt_loops.errors import AttachError, NttLoopsError

if TYPE_CHECKING:
    from ntt_loops._kernel import Handle, Kernel
    from ntt_loops._ledger import Ledger

logger = logging.getLogger("ntt_loops")

#: The number was taken (EBUSY), its pages are cached (EAGAIN, F10), or another detach is under way or its node was
#: removed for a moment (ENXIO, ENOENT, F35).
_WORTH_RETRYING = frozenset((errno.EBUSY, errno.EAGAIN, errno.ENXIO, errno.ENOENT, errno.EINTR))
#: udev may have a stale partition open for some milliseconds (F26); another number is as good.
_PURGE_SECONDS = 0.05
#: So many numbers are tried before there is a pause.
_TRIES_AT_ONCE = 8
#: Refused so often, a number is held by somebody's claim (F24): the next one is tried.
_REFUSALS = 3


class Attacher:
    """One attach: tries numbers until one takes the image or the deadline has passed."""

    def __init__(self, kernel: Kernel, ledger: Ledger, request: Request) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._request = request
        self._refused: dict[int, int] = {}
        self._last_errno = errno.EBUSY
        self._handle: Handle = NO_HANDLE
        self._is_bound: bool | None = False

    def attach(self, deadline: Deadline) -> Binding:
        """Return the binding.

        Raises:
            LoopUnavailableError: No loop device can be had, or none was free by the deadline.
            AttachError: The kernel refused the image, or did not do what it was asked to.
            LedgerError: The record could not be written; the device is detached again.
        """
        self._kernel.remove_stale_nodes()
        binding = retry(lambda: self._attempt(deadline), deadline, gave_up=self._gave_up)
        warn(binding, self._request)
        return binding

    def _gave_up(self) -> AttachError:
        return no_free_device(self._kernel, self._request.medium, self._request.image.path, self._last_errno)

    def _attempt(self, deadline: Deadline) -> Binding:
        """Try one number, under the medium's lock; NotYet lets the lock go before the pause."""
        with self._ledger.locked(self._request.medium, deadline) as book:
            if book.problem is not None:
                raise book.problem
            kept = self._request.lifetime == "kept"
            tag = Tag(book.registry, kept, new_nonce(), token_of(self._request.medium))
            try:
                config = self._config(bytes(tag))
                self._bind_any(config, deadline)
                binding = self._binding(self._handle, config, tag.nonce)
                if self._request.writable:
                    overlap.warn(self._kernel, self._request.medium, binding.record)
                book.add(binding.record)
            except BaseException as error:
                self._undo(bytes(tag))
                if isinstance(error, OSError) and not isinstance(error, NttLoopsError):
                    raise self._error(error) from error
                raise
            return binding

    def _error(self, error: OSError) -> AttachError:
        return attach_error(error, self._kernel, self._request.medium, self._request.image.path)

    def _number(self, deadline: Deadline) -> int:
        """Return a free number without partitions of an earlier image, which could be read through it (F31)."""
        number = self._kernel.get_free()
        while self._refused.get(number, 0) >= _REFUSALS:
            number = self._kernel.next_free(number)
        if not leftover.purge(self._kernel, number, deadline.sooner(_PURGE_SECONDS)):
            self._refused[number] = _REFUSALS
            raise NotYet
        return number

    def _bind_any(self, config: LoopConfig, deadline: Deadline) -> None:
        """Bind one of some numbers: whoever was faster has the last one by now, so the next needs no pause."""
        for left in reversed(range(_TRIES_AT_ONCE)):
            try:
                self._bind(self._number(deadline), config)
            except NotYet:
                if left == 0 or self._last_errno != errno.EBUSY:
                    raise
                refused, self._handle = self._handle, NO_HANDLE
                refused.close()
            else:
                return

    def _bind(self, number: int, config: LoopConfig) -> None:
        """Bind a read-only descriptor of a device; NotYet where somebody was faster.

        A device that did not take our CONFIGURE is never cleared: it may be the winner's (F3). The descriptor is in the
        object from its first moment on, so that whatever comes, ``_undo`` has it.
        """
        try:
            self._handle = self._kernel.open(number, writable=self._request.writable)
        except OSError as error:
            self._refuse(number, error)
        try:
            self._is_bound = None  # until the call returns, only the tag can tell
            self._kernel.configure(self._handle, self._request.image.file, config)
            self._is_bound = True
        except OSError as error:
            self._is_bound = False
            self._refuse(number, error)
        if self._request.writable:  # held, a writable descriptor may keep mount(2) out (F14)
            writable, self._handle = self._handle, self._kernel.open(number)
            writable.close()

    def _config(self, tag: bytes) -> LoopConfig:
        extent = self._request.extent
        return LoopConfig(
            name=tag,
            read_only=not self._request.writable,
            autoclear=self._request.lifetime == "scoped",
            offset_bytes=extent.offset_bytes,
            size_limit_bytes=extent.size_limit_bytes,
            sector_size_bytes=extent.sector_size_bytes or 0,
        )

    def _refuse(self, number: int, error: OSError) -> NoReturn:
        """Raise what the refusal of a number means."""
        if isinstance(error, NoNodeError):  # unlike a node that a tool removed for a moment, it does not come
            raise self._error(error) from error
        if error.errno not in _WORTH_RETRYING:
            raise self._error(error) from error
        if error.errno == errno.EBUSY:
            self._refused[number] = self._refused.get(number, 0) + 1
        self._last_errno = error.errno or errno.EBUSY
        raise NotYet from error

    def _binding(self, handle: Handle, asked: LoopConfig, nonce: str) -> Binding:
        """Read back what the kernel did: 5.8.0 ignored the size limit and PARTSCAN (F2)."""
        request, kernel = self._request, self._kernel
        status = kernel.get_status(handle)
        size_bytes = kernel.get_size_bytes(handle)
        wrong = [
            name
            for name in ("name", "read_only", "autoclear", "partscan", "offset_bytes", "size_limit_bytes")
            if getattr(status, name) != getattr(asked, name)
        ]
        if (status.backing_dev, status.backing_inode) != (request.image.dev, request.image.inode):
            wrong.append("image")
        if size_bytes != request.image.size_bytes:
            wrong.append("size_bytes")
        if wrong:
            message = (
                f"the kernel attached {request.image.path} to {kernel.node(status.number)} otherwise than asked: "
                f"{', '.join(wrong)} differ; it was detached again"
            )
            node = kernel.node(status.number)
            raise AttachError(message, medium=request.medium, device=node, image=request.image.path)
        record = self._record(status.number, kernel.get_diskseq(handle), nonce)
        return Binding(handle, self._device(record, size_bytes), record)

    def _record(self, number: int, diskseq: int | None, nonce: str) -> Record:
        image, extent = self._request.image, self._request.extent
        return Record(
            number=number,
            diskseq=diskseq,
            nonce=nonce,
            image=image.backing_file,
            dev=image.dev,
            inode=image.inode,
            offset_bytes=extent.offset_bytes,
            size_limit_bytes=extent.size_limit_bytes,
            lifetime=self._request.lifetime,
            owner=self._kernel.process(),
            time=time.time(),
            uptime=self._kernel.uptime(),
            image_bytes=image.file_bytes,
        )

    def _device(self, record: Record, size_bytes: int) -> LoopDevice:
        request = self._request
        return LoopDevice(
            path=Path(self._kernel.usable_node(record.number)),
            number=record.number,
            diskseq=record.diskseq,
            image=Path(request.image.path),
            medium=request.medium,
            size_bytes=size_bytes,
            tail_bytes=request.image.tail_bytes,
            read_only=not request.writable,
            nonce=record.nonce,
            kernel=self._kernel,
        )

    def _undo(self, tag: bytes) -> None:
        """Detach what this attempt bound, if it did.

        A scoped device is armed and goes with the descriptor. A kept one is cleared through it; where an interrupt came
        out of the very CONFIGURE, the tag tells, which no other attach has.
        """
        handle, self._handle = self._handle, NO_HANDLE
        is_bound, self._is_bound = self._is_bound, False
        try:
            if is_bound is None:
                is_bound = self._kernel.get_status(handle).name == tag
            if is_bound and self._request.lifetime == "kept":
                self._kernel.clear(handle)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing is bound: there is nothing to undo
                raise
        finally:
            handle.close()
            self._kernel.remove_stale_nodes()
