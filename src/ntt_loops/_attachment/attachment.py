"""The context manager, and the kept form."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment.attach import Attacher
from ntt_loops._attachment.awaited import Awaited
from ntt_loops._attachment.binding import Request
from ntt_loops._attachment.identity import Identity
from ntt_loops._attachment.image import Extent, open_image
from ntt_loops._attachment.leaving import not_written, still_busy, wait_gone
from ntt_loops._attachment.naming import check_medium, medium_of
from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops.errors import LedgerError, NttLoopsError

if TYPE_CHECKING:
    from types import TracebackType

    from ntt_loops._attachment.binding import Binding
    from ntt_loops._attachment.device import LoopDevice
    from ntt_loops._attachment.holders import Holder
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger, Lifetime

logger = logging.getLogger("ntt_loops")


@attrs.frozen
class Options:
    """How an image is to be attached; what the arguments of ``attached`` say."""

    medium: str
    writable: bool
    extent: Extent
    timeout: float

    @classmethod
    def of(  # noqa: PLR0913 - the public functions' own keywords
        cls,
        image: str,
        *,
        medium: str | None,
        writable: bool,
        offset_bytes: int,
        size_limit_bytes: int,
        sector_size_bytes: int | None,
        timeout: float,
    ) -> Options:
        """Check the id and the timeout; the rest is checked against the image."""
        Deadline.after(timeout)
        return cls(
            medium=medium_of(image) if medium is None else check_medium(medium),
            writable=writable,
            extent=Extent(offset_bytes, size_limit_bytes, sector_size_bytes),
            timeout=timeout,
        )


def _bind(kernel: Kernel, ledger: Ledger, image: str, options: Options, lifetime: Lifetime) -> Binding:
    opened = open_image(image, writable=options.writable, extent=options.extent)
    try:
        request = Request(opened, options.medium, options.extent, options.writable, lifetime)
        with kernel_errors(medium=options.medium, image=image):
            return Attacher(kernel, ledger, request).attach(Deadline.after(options.timeout))
    finally:
        opened.close()


def attach_kept(kernel: Kernel, ledger: Ledger, image: str, options: Options) -> LoopDevice:
    """Attach for a later process; what goes wrong undoes it."""
    binding = _bind(kernel, ledger, image, options, "kept")
    binding.handle.close()
    return binding.device


class LoopAttachment(Awaited):
    """A scoped attachment: entered, the image is on a device; left, it is not.

    The device is held by one descriptor, and armed so that the kernel detaches it when that is closed - by the exit, by
    an exception, or by the end of the process, however it ends (F11). A forked child neither keeps it nor detaches it.
    It may be entered again after its exit, which attaches anew; it belongs to one thread or task at a time.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, image: str, options: Options) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._image = image
        self._options = options
        self._entered = threading.Lock()
        self._pid = 0
        self._binding: Binding | None = None

    def __repr__(self) -> str:
        state = "not attached" if self._binding is None else f"on {self._binding.device}"
        return f"<LoopAttachment of {self._image!r}, medium {self.medium!r}, {state}>"

    def __del__(self) -> None:
        binding = getattr(self, "_binding", None)
        if binding is not None and not binding.handle.closed and self._pid == os.getpid():
            warnings.warn(f"{self!r} was never left: it is detached now", ResourceWarning, stacklevel=2, source=self)
            binding.handle.close()

    @property
    def image(self) -> Path:
        """The image's path, as given."""
        return Path(self._image)

    @property
    def medium(self) -> str:
        """The medium's id."""
        return self._options.medium

    @property
    def device(self) -> LoopDevice:
        """The device, while attached.

        Raises:
            RuntimeError: It is not attached.
        """
        if self._binding is None:
            message = f"{self._image} is not attached: use 'with attached(...) as device'"
            raise RuntimeError(message)
        return self._binding.device

    def __enter__(self) -> LoopDevice:
        """Attach.

        Raises:
            ImageError: The image cannot be attached as asked.
            LoopUnavailableError: No loop device can be had.
            AttachError: The kernel refused, or did something else than asked.
            LedgerError: The attachment could not be put on record, so it was undone.
            RuntimeError: It is attached already.
        """
        if not self._entered.acquire(blocking=False):
            message = f"{self._image} is attached by this very object: make a second one with attached(...)"
            raise RuntimeError(message)
        try:
            self._binding = _bind(self._kernel, self._ledger, self._image, self._options, "scoped")
            self._pid = os.getpid()
        except BaseException:
            if self._binding is not None:
                self._binding.handle.close()
            self._forget()
            raise
        return self._binding.device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach. An error of the body goes on; what goes wrong here is then added to it as a note, and logged."""
        try:
            self.close()
        except NttLoopsError as own:
            if error is None:
                raise
            error.add_note(f"ntt_loops, on leaving the 'with' block: {own}")
            logger.warning("%s", own, extra={"medium": self.medium, "image": self._image})

    def close(self) -> None:
        """Detach and verify; when it is not attached, or in a forked child, do nothing.

        Raises:
            DeviceBusyError: Somebody else uses the device. This attachment has let it go all the same: the kernel
                detaches it after its last user.
            ImageWriteError: What was written may not be in the image.
        """
        binding = self._binding
        if binding is None or self._pid != os.getpid():
            return
        deadline = Deadline.after(self._options.timeout)
        write_error: OSError | None = None
        holders: list[Holder] = []
        try:
            try:
                write_error = self._flush(binding)
            finally:
                binding.handle.close()
            with kernel_errors(medium=self.medium, device=binding.device):
                holders = wait_gone(self._kernel, Identity.of_record(binding.record), deadline)
                self._kernel.remove_stale_nodes()
                self._write_down(binding, deadline, is_gone=not holders)
        except BaseException as error:
            if write_error is not None:  # the kernel says it only once, so it must not be lost
                error.add_note(str(not_written(binding.device, write_error)))
            raise
        finally:
            self._forget()
        if write_error is not None:
            raise not_written(binding.device, write_error) from write_error
        if holders:
            raise still_busy(binding.device, holders)

    def hand_over(self) -> None:
        """Let the device go, to what is mounted from it: it goes with its last mount, and is on record until then."""
        binding = self._binding
        if binding is None or self._pid != os.getpid():
            return
        binding.handle.close()
        self._write_down(binding, Deadline.after(self._options.timeout), is_gone=False)
        self._forget()

    def _flush(self, binding: Binding) -> OSError | None:
        if binding.device.read_only:
            return None
        try:
            self._kernel.flush(binding.handle)
        except OSError as error:
            return error
        return None

    def _forget(self) -> None:
        self._binding = None
        self._entered.release()

    def _write_down(self, binding: Binding, deadline: Deadline, *, is_gone: bool) -> None:
        """Bring the ledger up to date; it is only the record of what the kernel did, so a failure is no error here."""
        try:
            with self._ledger.locked(self.medium, deadline) as book:
                if is_gone:
                    book.remove(binding.record.key)
                else:
                    book.disown(binding.record.key)
        except (LedgerError, OSError) as error:
            logger.warning(
                "%s: the ledger could not be brought up to date: %s",
                binding.device,
                error,
                extra={"medium": self.medium, "device": str(binding.device)},
            )
