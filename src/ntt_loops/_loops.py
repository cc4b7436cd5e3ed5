"""``Loops``: everything this library does, over one ledger folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._attachment import (
    LoopAttachment,
    LoopDevice,
    Options,
    Text,
    attach_kept,
    image_path,
)
from ntt_loops._awaitables import Awaitables
from ntt_loops._backoff import Deadline
from ntt_loops._checkups import Checkups
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._listings import Listings
from ntt_loops._mounts import Mounts
from ntt_loops._rescues import Rescues
from ntt_loops._target import checked_age, disk_number
from ntt_loops._world import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._medium import ReleaseReport, SweepReport


class Loops(Listings, Mounts, Awaitables, Rescues, Checkups):
    """Loop devices, with the ledger below ``run_dir``.

    The functions of the package are the methods of one such object, for ``/run/ntt-loops`` or the folder that
    ``NTT_LOOPS_RUN_DIR`` names. It keeps nothing but that name, and is safe in threads and across forks.

    Args:
        run_dir: The ledger folder; made with mode 0700 where it is missing. It must be of this user, and writable by
            nobody else.
        kernel: What to work on: the real kernel, or ``ntt_loops.testing.MemoryKernel()``.
    """

    def attached(  # noqa: PLR0913 - the keywords are the ways an image is attached
        self,
        image: Text,
        *,
        medium: str | None = None,
        writable: bool = False,
        offset_bytes: int = 0,
        size_limit_bytes: int = 0,
        sector_size_bytes: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> LoopAttachment:
        """Attach an image for the length of a ``with`` block: ``with attached(image) as device:``.

        However the block is left - return, exception, Ctrl-C, even SIGKILL - the kernel detaches the device, as soon as
        nobody else uses it. Leaving waits until it did.

        Args:
            image: A regular file. A symlink is followed once, at the open.
            medium: The medium's id; by default the image's name as given, without its last suffix.
            writable: Whether writes are let through. By default the device is read-only, and so is whatever is mounted
                from it: an image is evidence.
            offset_bytes: Where in the image the device begins.
            size_limit_bytes: How much of it the device shows; 0: up to the end.
            sector_size_bytes: A power of two, for media that were not made of 512-byte sectors; it must divide the
                image.
            timeout: Seconds that the attach, and again the exit, may wait for others.

        Returns:
            The context manager; nothing is attached before it is entered. Entering raises ImageError,
            LoopUnavailableError, AttachError or LedgerError, with nothing left attached; leaving raises DeviceBusyError
            when somebody else still uses the device, and ImageWriteError when what was written may be lost.

        Raises:
            MediumError: The id cannot be one.
            ValueError: The timeout is negative.

        Needs root, or CAP_SYS_ADMIN and access to /dev/loop-control and the nodes. Constant cost.
        """
        options = Options.of(
            path := image_path(image),
            medium=medium,
            writable=writable,
            offset_bytes=offset_bytes,
            size_limit_bytes=size_limit_bytes,
            sector_size_bytes=sector_size_bytes,
            timeout=timeout,
        )
        return LoopAttachment(*self._world(), path, options)

    @kernel_errors()
    def attach_kept(  # noqa: PLR0913 - those of ``attached``
        self,
        image: Text,
        *,
        medium: str | None = None,
        writable: bool = False,
        offset_bytes: int = 0,
        size_limit_bytes: int = 0,
        sector_size_bytes: int | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> LoopDevice:
        """Attach an image until it is released, for a stage that hands the device to a later process.

        Args:
            image: As in ``attached``; so are all others.
            medium: The medium's id.
            writable: Whether writes are let through.
            offset_bytes: Where in the image the device begins.
            size_limit_bytes: How much of it the device shows.
            sector_size_bytes: The sector size.
            timeout: Seconds that the attach may wait for others.

        Returns:
            The device. It can be pickled for the process that is to release it.

        Raises:
            ImageError: The image cannot be attached as asked.
            LoopUnavailableError: No loop device can be had.
            AttachError: The kernel refused, or did something else than asked.
            LedgerError: It could not be put on record, so it was detached again.
            MediumError: The id cannot be one.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or CAP_SYS_ADMIN and access to /dev/loop-control and the nodes. Constant cost.
        """
        options = Options.of(
            path := image_path(image),
            medium=medium,
            writable=writable,
            offset_bytes=offset_bytes,
            size_limit_bytes=size_limit_bytes,
            sector_size_bytes=sector_size_bytes,
            timeout=timeout,
        )
        return attach_kept(*self._world(), path, options)

    @kernel_errors()
    def release(
        self, device: LoopDevice | Text, *, unmount: bool = False, timeout: float = TIMEOUT_SECONDS
    ) -> ReleaseReport:
        """Release one device, if it is still that attachment; what came after it on its number is not touched.

        Args:
            device: What ``attach_kept`` returned; or a device's path: what is attached there now, whoever attached it.
            unmount: Whether to unmount first, never lazily, what is mounted from it in this mount namespace.
            timeout: Seconds for the whole call; at least one try is made.

        Returns:
            What was done; nothing where it was gone.

        Raises:
            ValueError: That is no loop device's path, or a partition's: its disk goes as a whole.
            DeviceBusyError: Somebody uses it; it stays as it was.
            ImageWriteError: It is detached, but what was written may not be in the image.
            LoopPermissionError: The device may not be opened.
            LedgerError: Another process kept the medium's ledger locked.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or access to the node. Constant cost, but for a look at every process where it is busy.
        """
        from ntt_loops._medium import release_device, release_number  # noqa: PLC0415 - for those who release

        deadline = Deadline.after(timeout)
        if not isinstance(device, LoopDevice):
            return release_number(*self._world(), disk_number(device), deadline, unmount=unmount)
        return release_device(*self._world(), device, deadline, unmount=unmount)

    @kernel_errors()
    def release_all(
        self, medium_or_image: Text, *, unmount: bool = False, timeout: float = TIMEOUT_SECONDS
    ) -> ReleaseReport:
        """Release every device of a medium, or of one image file: before it is packed, and again before it is unlinked.

        An id means the whole medium: what is on its ledger, what carries its tag, whatever else is bound to the same
        images, living or deleted, and for an id that is a hash whatever is bound to a file of that very name. A path -
        an os.PathLike, or a str with a "/" - means that file alone, and deleted ones that were there, whoever attached
        them. It returns only when a look under the ledger's lock found nothing more; again, it does nothing.

        Args:
            medium_or_image: The medium's id, or the image's path.
            unmount: Whether to unmount, never lazily, what is mounted from these devices in this mount namespace. What
                belongs to a living ``with`` block is left alone.
            timeout: Seconds for the whole call; each device gets at least one try.

        Returns:
            What was done.

        Raises:
            DeviceBusyError: Somebody uses a device; all others were released (``.report``, ``.holders``). Or the path
                is out of reach - its storage does not answer - so that nobody can tell which devices are the file's.
            ImageWriteError: All is as said, but what was written may not be in an image.
            LedgerError: Another process kept the ledger locked; what was found was released (``.report``).
            LoopPermissionError: A device may not be opened.
            MediumError: The id cannot be one, or it is a file's name here and no medium is known by it: write ./NAME.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or access to the nodes. Cost grows with the bound devices of the host, listed once a round.
        """
        from ntt_loops._medium import medium_meant, release_medium  # noqa: PLC0415 - for those who release

        deadline = Deadline.after(timeout)
        kernel, ledger = self._world()
        medium = medium_meant(kernel, medium_or_image, deadline)
        return release_medium(kernel, ledger, medium, deadline, unmount=unmount)

    @kernel_errors()
    def sweep(  # noqa: PLR0913 - the keywords are what it may touch
        self,
        *,
        under: Text | Iterable[Text] = (),
        system: bool = False,
        kept_older_than: float | None = None,
        dry_run: bool = False,
        record: bool = False,
        timeout: float = TIMEOUT_SECONDS,
    ) -> SweepReport:
        """Release orphans - attachments whose image is deleted and that nobody uses - and tidy the ledgers, once.

        By default those that this ledger has, or whose tag is of it. It never waits for a device that is in use.

        Args:
            under: A folder or several: other people's devices too, if their deleted image lay below one of them.
            system: Every device of the host whose image is deleted.
            kept_older_than: Seconds: kept attachments of that age too, though their image is there.
            dry_run: Change nothing; the report tells what would be done.
            record: Put on record how it went, for ``last_sweep`` and metrics: for the sweep of a timer. No dry run is.
            timeout: Seconds for the whole call.

        Returns:
            What was done with each device, and why one was kept.

        Raises:
            LoopPermissionError: The devices may not be opened.
            ValueError: ``kept_older_than`` or ``timeout`` is negative.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or access to the nodes. Cost grows with the bound devices of the host and with the ledgers.
        """
        from ntt_loops._medium import Scope, real_paths, recorded_sweep, sweep  # noqa: PLC0415 - for those who sweep

        deadline = Deadline.after(timeout)
        kernel, ledger = self._world()
        folders = [under] if isinstance(under, (str, os.PathLike)) else under
        paths = frozenset(path for folder in folders for path in real_paths(kernel, folder, deadline))
        scope = Scope(paths, system, checked_age(kept_older_than), dry_run)
        return (recorded_sweep if record and not dry_run else sweep)(kernel, ledger, scope, deadline)
