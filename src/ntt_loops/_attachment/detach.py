"""Detaching one device that is kept or somebody else's, under one claim, believed only when the kernel was asked again.

LOOP_CLR_FD says 0 whatever happens: with another opener it arms AUTOCLEAR instead, and the device goes at some later
close or umount, as a surprise (F16). So it is made under an exclusive claim, its outcome is read back on the same
descriptor, and where it did not take it is undone before the claim is dropped: two releasers that did drop it in
between would leave the device armed.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import leftover
from ntt_loops._attachment.claimed import Claimed, Surely
from ntt_loops._attachment.outcome import Detached, Outcome
from ntt_loops._backoff import Deadline, NotYet, retry, wait_until
from ntt_loops._kernel import StuckError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._attachment.identity import Identity
    from ntt_loops._kernel import Handle, Kernel, LoopFlags


@attrs.frozen
class Detacher:
    """One device that is to go.

    Attributes:
        disarms: Whether AUTOCLEAR is always cleared on a device that stays: a kept one of ours has no business with it,
            so an armed one was left by a releaser that was killed. Any other gets back the flag that was found.
        within: Seconds for each call that may hang, made in a child process; None where the storage is local.
        patience: Until when a device that another opener keeps is tried again under the same claim.
        deadline: Until when a detach that did take is waited for.
        on_write_error: Told that what was written through the device is not all in the image. The kernel says so only
            once (F18), so it is told at once: the detach may yet fail or be interrupted.
    """

    kernel: Kernel
    identity: Identity
    disarms: bool
    within: float | None
    patience: Deadline
    deadline: Deadline
    on_write_error: Callable[[OSError], object]

    @property
    def _device(self) -> Claimed:
        return Claimed(self.kernel, self.identity, self.disarms, self.within)

    def detach(self) -> Detached:
        """Try once; one device's error is an outcome like others, so that it does not stop the rest."""
        try:
            return self._detach()
        except StuckError:
            return Detached(Outcome.STUCK)
        except OSError as error:
            return Detached(Outcome.FAILED, error=error)
        finally:
            self.kernel.remove_stale_nodes()

    def _detach(self) -> Detached:
        # Sysfs first: a claim on a number that is no longer ours disturbs strangers (F24).
        if not self._is_bound():
            return Detached(Outcome.GONE)
        claim = self._claim()
        if isinstance(claim, Outcome):
            return Detached(claim)
        try:
            flags = self._device.flags(claim)
            if flags is None:
                # The node is another device's where sysfs still shows this one.
                is_there = self._is_bound()
                return Detached(Outcome.NO_NODE if is_there else Outcome.GONE)
            if not flags.read_only:
                return Detached(self._detach_writable(claim))
            if not self._clear(claim, flags):
                return Detached(Outcome.BUSY)
        finally:
            self._device.close(claim)
        return Detached(self._verdict(Outcome.DETACHING, flags))

    def _is_bound(self) -> bool:
        return self.identity.is_bound(self.kernel, within=self.within)

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
        if not self._is_bound():
            return Outcome.GONE
        return Outcome.DETACHING if number == errno.ENXIO else Outcome.NO_NODE

    def _clear(self, claim: Handle, flags: LoopFlags) -> bool:
        """Clear until it takes; where it does not in time, disarm. Return whether it took: it goes at our close."""

        def attempt() -> None:
            if not self._device.take(claim):
                raise NotYet

        partitions = [] if flags.partscan else self.kernel.partitions(self.identity.number)
        undo = Surely(lambda: self._device.disarm(claim, flags))
        try:
            with undo, undo:
                retry(attempt, self.patience)
                undo.is_needed = False
        except NotYet:
            return False
        leftover.delete(self.kernel, claim, self.identity.number, partitions)
        return True

    def _detach_writable(self, claim: Handle) -> Outcome:
        """Detach by the last close: only that one writes back what is dirty before it unbinds (F18).

        So a second descriptor is open while CLR_FD arms AUTOCLEAR, and closing both does the rest. If the device stays,
        somebody else has it open, and it is disarmed through a new claim. In between another release could claim it and
        take the arming for the owner's: so one lock of the host is held from before the flags are read.
        """
        error = self._device.flush(claim)
        if error is not None:
            self.on_write_error(error)
        try:
            lock = retry(self._lock, self.patience)
        except FileNotFoundError:  # a container without loop-control
            return Outcome.NO_NODE
        except NotYet:
            return Outcome.BUSY
        try:
            flags = self._device.flags(claim)
            return Outcome.GONE if flags is None else self._close_armed(claim, flags)
        finally:
            lock.close()

    def _lock(self) -> Handle:
        """Take the host's lock; another release has it for some milliseconds, and its device is not this one."""
        lock = self.kernel.lock_detach()
        if lock is None:
            raise NotYet
        return lock

    def _close_armed(self, claim: Handle, flags: LoopFlags) -> Outcome:
        partitions = [] if flags.partscan else self.kernel.partitions(self.identity.number)
        second = self.kernel.open(self.identity.number)

        def close() -> None:
            second.close()
            self._device.close(claim)

        stays = True

        def disarm() -> None:
            nonlocal stays
            close()
            stays = self._device.disarm_again(flags)

        undo = Surely(disarm)
        with undo, undo:
            self.kernel.clear(claim)
            close()
            outcome = self._verdict(Outcome.BUSY, flags)
            undo.is_needed = outcome is Outcome.BUSY
        if outcome is Outcome.BUSY:  # else its last other opener closed it, and what we armed goes: our doing, too
            outcome = self._verdict(Outcome.BUSY if stays else Outcome.DETACHING, flags)
        if outcome is Outcome.RELEASED:
            leftover.delete_unbound(self.kernel, self.identity.number, partitions, self.deadline)
        return outcome

    def _verdict(self, otherwise: Outcome, flags: LoopFlags) -> Outcome:
        """Ask sysfs until it says that the attachment is gone: udev may hold it for some milliseconds more (F26)."""
        until = self.deadline if otherwise is Outcome.DETACHING else self.patience
        is_gone = wait_until(lambda: not self._is_bound(), until)
        if is_gone and flags.partscan:  # the kernel drops no others, and somebody may have them open
            leftover.wait_dropped(self.kernel, self.identity.number, self.deadline)
        return Outcome.RELEASED if is_gone else otherwise
