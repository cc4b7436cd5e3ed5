"""What is asked of one device, and done to it, through a descriptor of ours.

Its storage may hang: then the calls that may not come back are made in a child process, and those that can be answered
otherwise are not made at all (F21).
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel import LoopFlags, StuckError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._attachment.identity import Identity
    from ntt_loops._kernel import Handle, Kernel, LoopStatus

logger = logging.getLogger("ntt_loops")


class Surely:
    """Undoes a step at the end of a ``with`` block, unless ``is_needed`` has been set to false.

    Enter it twice, as in ``with undo, undo:``. A Ctrl-C may hit an exit before it has begun its work, so that alone
    nothing would be undone; then the other one does it.
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo
        self.is_needed = True

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Undo. What the kernel refused is not tried again by the other exit."""
        try:
            if self.is_needed:
                self._undo()
        except OSError:
            self.is_needed = False
            raise
        self.is_needed = False


@attrs.frozen
class Claimed:
    """One device; its descriptor is given to each call. See ``Detacher`` for the attributes."""

    kernel: Kernel
    identity: Identity
    disarms: bool
    within: float | None

    def flags(self, handle: Handle) -> LoopFlags | None:
        """Return the flags of the device; None where it is another attachment, or none.

        Storage that may hang is not asked: the diskseq is proof enough, and sysfs has the flags.
        """
        if self.identity.diskseq is not None:
            if self.kernel.get_diskseq(handle) != self.identity.diskseq:
                return None
            if self.within is not None:
                return self.kernel.flags(self.identity.number)
        status = self._get_status(handle)
        if status is None or not self.identity.agrees(status):
            return None
        return LoopFlags(status.read_only, status.autoclear, status.partscan)

    def _get_status(self, handle: Handle) -> LoopStatus | None:
        try:
            return self.kernel.get_status(handle, within=self.within)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    def take(self, handle: Handle) -> bool:
        """Make a CLR_FD and ask whether it took; ENXIO of the call itself says that it is past that already."""
        try:
            self.kernel.clear(handle)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            raise
        return self._is_cleared(handle)

    def _is_cleared(self, handle: Handle) -> bool:
        """Whether a CLR_FD took: only ENXIO says so. A dead server's error comes from a device that is bound."""
        try:
            return self._get_status(handle) is None
        except StuckError:
            raise
        except OSError:
            if self.within is None:
                raise
            return False

    def flush(self, handle: Handle) -> OSError | None:
        """Fsync; return its error."""
        try:
            self.kernel.flush(handle, within=self.within)
        except StuckError:
            raise
        except OSError as error:
            return error
        return None

    def disarm(self, handle: Handle, flags: LoopFlags) -> bool:
        """Put AUTOCLEAR back as it was found, or clear it (F12); return whether the device stays."""
        if flags.autoclear and not self.disarms:
            return True
        try:
            self.kernel.set_autoclear(handle, on=False, within=self.within)
        except StuckError:
            raise
        except OSError as error:
            if error.errno == errno.ENXIO:  # the last CLR_FD took after all
                return False
            # EBUSY: a newer kernel, and somebody has claimed it since (F53). Else storage that is dead.
            if error.errno != errno.EBUSY and self.within is None:
                raise
            node = self.kernel.node(self.identity.number)
            logger.warning("%s stays armed: it goes with its last user", node, extra={"device": str(node)})
        return True

    def disarm_again(self, flags: LoopFlags) -> bool:
        """Disarm a device that outlived its close; return whether it stays.

        That is done through a plain descriptor where somebody has claimed it by now.
        """
        for exclusive in (True, False):
            try:
                handle = self.kernel.open(self.identity.number, exclusive=exclusive)
            except OSError as error:
                if error.errno in (errno.ENXIO, errno.ENOENT):  # ENXIO: its detach is under way, or done (F35)
                    return error.errno == errno.ENOENT
                if error.errno != errno.EBUSY or not exclusive:
                    raise
                continue
            try:
                return self.flags(handle) is not None and self.disarm(handle, flags)
            finally:
                self.close(handle)
        return True

    def close(self, handle: Handle) -> None:
        """Close a descriptor, which may be the last one."""
        self.kernel.close(handle, within=self.within)
