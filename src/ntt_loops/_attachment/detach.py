"""Detaching one device that is kept or somebody else's, under one claim, believed only when the kernel was asked again.

LOOP_CLR_FD says 0 whatever happens: with another opener it arms AUTOCLEAR instead, and the device goes at some later
close or umount, as a surprise (F16). So it is made under an exclusive claim, its outcome is read back on the same
descriptor, and where it did not take it is undone before the claim is dropped: two releasers that did drop it in
between would leave the device armed.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import leftover
from ntt_loops._attachment.outcome import Detached, Outcome
from ntt_loops._backoff import Deadline, NotYet, retry, wait_until
from ntt_loops._kernel import LoopFlags, StuckError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._attachment.identity import Identity
    from ntt_loops._kernel import Handle, Kernel, LoopStatus

logger = logging.getLogger("ntt_loops")


@attrs.frozen
class Detacher:
    """One device that is to go.

    Attributes:
        disarms: Whether AUTOCLEAR is always cleared on a device that stays: a kept one of ours has no business with it,
            so an armed one was left by a releaser that was killed. Any other gets back the flag that was found.
        within: Seconds for each call that may hang, made in a child process; None where the storage is local.
        patience: Until when a device that another opener keeps is tried again under the same claim.
        deadline: Until when a detach that did take is waited for.
    """

    kernel: Kernel
    identity: Identity
    disarms: bool
    within: float | None
    patience: Deadline
    deadline: Deadline

    def detach(self) -> Detached:
        """Try once; one device's error is an outcome like others, so that it does not stop the rest."""
        try:
            return self._detach()
        except StuckError:
            return Detached(Outcome.STUCK)
        except OSError as error:
            return Detached(Outcome.FAILED, error=error)

    def _detach(self) -> Detached:
        # Sysfs first: a claim on a number that is no longer ours disturbs strangers (F24).
        if not self.identity.is_bound(self.kernel):
            return Detached(Outcome.GONE)
        claim = self._claim()
        if isinstance(claim, Outcome):
            return Detached(claim)
        try:
            flags = self._flags(claim)
            if flags is None:
                # The node is another device's where sysfs still shows this one.
                is_there = self.identity.is_bound(self.kernel)
                return Detached(Outcome.NO_NODE if is_there else Outcome.GONE)
            if not flags.read_only:
                return self._detach_writable(claim)
            if not self._clear(claim, flags):
                return Detached(Outcome.BUSY)
        finally:
            self._close(claim)
        return Detached(self._verdict(Outcome.DETACHING))

    def _claim(self) -> Handle | Outcome:
        try:
            return self.kernel.open(self.identity.number, exclusive=True)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return Outcome.BUSY
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return self._why_not_open(error.errno)
            raise

    def _why_not_open(self, number: int) -> Outcome:
        """ENXIO and ENOENT are success only when sysfs no longer shows it bound (F35)."""
        if not self.identity.is_bound(self.kernel):
            return Outcome.GONE
        return Outcome.DETACHING if number == errno.ENXIO else Outcome.NO_NODE

    def _flags(self, claim: Handle) -> LoopFlags | None:
        """Return the flags of the claimed device; None where it is another attachment, or none.

        Storage that may hang is not asked: the diskseq is proof enough, and sysfs has the flags.
        """
        if self.identity.diskseq is not None:
            if self.kernel.get_diskseq(claim) != self.identity.diskseq:
                return None
            if self.within is not None:
                return self.kernel.flags(self.identity.number)
        status = self._get_status(claim)
        if status is None or not self.identity.agrees(status):
            return None
        return LoopFlags(status.read_only, status.autoclear, status.partscan)

    def _get_status(self, claim: Handle) -> LoopStatus | None:
        try:
            return self.kernel.get_status(claim, within=self.within)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    def _take(self, claim: Handle) -> bool:
        """Make a CLR_FD and ask whether it took; ENXIO of the call itself says that it is past that already."""
        try:
            self.kernel.clear(claim)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            raise
        return self._is_cleared(claim)

    def _is_cleared(self, claim: Handle) -> bool:
        """Whether a CLR_FD took: only ENXIO says so. A dead server's error comes from a device that is bound."""
        try:
            return self._get_status(claim) is None
        except StuckError:
            raise
        except OSError:
            if self.within is None:
                raise
            return False

    def _clear(self, claim: Handle, flags: LoopFlags) -> bool:
        """Clear until it takes; where it does not in time, disarm. Return whether it took: it goes at our close."""

        def attempt() -> None:
            if not self._take(claim):
                raise NotYet

        partitions = [] if flags.partscan else self.kernel.partitions(self.identity.number)
        is_cleared = False
        try:
            retry(attempt, self.patience)
            is_cleared = True
        except NotYet:
            return False
        finally:
            if not is_cleared:
                self._surely(lambda: self._disarm(claim, flags))
        leftover.delete(self.kernel, claim, self.identity.number, partitions)
        return True

    def _surely(self, disarm: Callable[[], object]) -> None:
        """Disarm, and if a Ctrl-C interrupts that, once more."""
        try:
            disarm()
        except KeyboardInterrupt:
            disarm()
            raise

    def _disarm(self, claim: Handle, flags: LoopFlags) -> None:
        """Put AUTOCLEAR back as it was found, or clear it (F12)."""
        if flags.autoclear and not self.disarms:
            return
        try:
            self.kernel.set_autoclear(claim, on=False, within=self.within)
        except StuckError:
            raise
        except OSError as error:
            # EBUSY: a newer kernel, and somebody has claimed it since (F53). Else storage that is dead.
            if error.errno == errno.EBUSY or (self.within is not None and error.errno != errno.ENXIO):
                node = self.kernel.node(self.identity.number)
                logger.warning("%s stays armed: it goes with its last user", node, extra={"device": str(node)})
            elif error.errno != errno.ENXIO:  # ENXIO: the last CLR_FD took after all
                raise

    def _detach_writable(self, claim: Handle) -> Detached:
        """Detach by the last close: only that one writes back what is dirty before it unbinds (F18).

        So a second descriptor is open while CLR_FD arms AUTOCLEAR, and closing both does the rest. If the device stays,
        somebody else has it open, and it is disarmed through a new claim. In between another release could claim it and
        take the arming for the owner's: so one lock of the host is held from before the flags are read.
        """
        write_error = self._flush(claim)
        lock = self.kernel.lock_detach()
        if lock is None:
            return Detached(Outcome.BUSY, write_error)
        try:
            flags = self._flags(claim)
            outcome = Outcome.GONE if flags is None else self._close_armed(claim, flags)
        except StuckError:
            outcome = Outcome.STUCK
        finally:
            lock.close()
        return Detached(outcome, write_error)

    def _close_armed(self, claim: Handle, flags: LoopFlags) -> Outcome:
        partitions = [] if flags.partscan else self.kernel.partitions(self.identity.number)
        second = self.kernel.open(self.identity.number)
        try:
            self.kernel.clear(claim)
            second.close()
            self._close(claim)
            outcome = self._verdict(Outcome.BUSY)
        except BaseException:
            second.close()
            self._close(claim)
            self._surely(lambda: self._disarm_again(flags))
            raise
        if outcome is Outcome.BUSY:
            self._surely(lambda: self._disarm_again(flags))
            outcome = self._verdict(Outcome.BUSY)
        if outcome is Outcome.RELEASED:
            leftover.delete_unbound(self.kernel, self.identity.number, partitions, self.deadline)
        return outcome

    def _flush(self, claim: Handle) -> OSError | None:
        try:
            self.kernel.flush(claim, within=self.within)
        except StuckError:
            raise
        except OSError as error:
            return error
        return None

    def _disarm_again(self, flags: LoopFlags) -> None:
        """Disarm a device that outlived its close; through a plain descriptor where somebody has claimed it by now."""
        for exclusive in (True, False):
            try:
                handle = self.kernel.open(self.identity.number, exclusive=exclusive)
            except OSError as error:
                if error.errno in (errno.ENXIO, errno.ENOENT):
                    return
                if error.errno != errno.EBUSY or not exclusive:
                    raise
                continue
            try:
                if self._flags(handle) is not None:
                    self._disarm(handle, flags)
            finally:
                self._close(handle)
            return

    def _close(self, handle: Handle) -> None:
        self.kernel.close(handle, within=self.within)

    def _verdict(self, otherwise: Outcome) -> Outcome:
        """Ask sysfs until it says that the attachment is gone: udev may hold it for some milliseconds more (F26)."""
        until = self.deadline if otherwise is Outcome.DETACHING else self.patience
        is_gone = wait_until(lambda: not self.identity.is_bound(self.kernel), until)
        return Outcome.RELEASED if is_gone else otherwise
