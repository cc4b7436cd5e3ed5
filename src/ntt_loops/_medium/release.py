"""Releasing a medium: every device of it, in rounds, until a look under the ledger's lock finds none."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ntt_loops._attachment import Outcome
from ntt_loops._attachment.holders import other_holder
from ntt_loops._kernel import StuckError
from ntt_loops._medium import conclusions
from ntt_loops._medium.attempt import Attempt, living_owner
from ntt_loops._medium.candidates import Finder, OtherLedgers
from ntt_loops._medium.freed import Freed, not_written
from ntt_loops._medium.records import Records
from ntt_loops._medium.reports import LeftDevice, ReleaseReport
from ntt_loops._medium.survey import Survey
from ntt_loops._unmounting import rdevs_of, unmount_device
from ntt_loops.errors import ImageWriteError, MountTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops._attachment import Holder
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._medium.candidates import Candidate, Medium
    from ntt_loops._medium.device_finder import DeviceFinder
    from ntt_loops._medium.freed import Going
    from ntt_loops._medium.seen import Seen
    from ntt_loops.errors import DeviceBusyError, LedgerError, MountError


#: Devices that were released after the deadline are looked for once more; whoever goes on attaching is then busy.
_LOOKS_AFTER_DEADLINE = 2


def release_medium(
    kernel: Kernel, ledger: Ledger, medium: Medium, deadline: Deadline, *, unmount: bool
) -> ReleaseReport:
    """Release every device of a medium. See ``Loops.release_all`` for what it raises."""
    kernel.remove_stale_nodes()
    survey = Survey(kernel, deadline)
    finder = Finder(kernel, medium, survey)
    work = Release(kernel, ledger, medium.name, survey=survey, finder=finder, deadline=deadline, unmount=unmount)
    report = work.run(is_bare_name=not medium.is_one_file)
    if finder.medium.unreachable is not None:
        raise conclusions.out_of_reach(finder.medium, finder.medium.unreachable, report)
    return report


class Release:
    """The state of one release."""

    def __init__(  # noqa: PLR0913 - it is what the two functions above put together
        self,
        kernel: Kernel,
        ledger: Ledger,
        name: str,
        *,
        survey: Survey,
        finder: Finder | DeviceFinder,
        deadline: Deadline,
        unmount: bool,
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._name = name
        self._survey = survey
        self._finder = finder
        self._deadline = deadline
        self._unmount = unmount
        self._freed = Freed(kernel, survey)
        self._records = Records(kernel, ledger, name, deadline)
        self._devices: list[Seen] = []
        #: The device numbers that are the medium's and nobody's: what stands on these alone may be stopped.
        self._own: frozenset[int] = frozenset()
        self._left: dict[int, LeftDevice] = {}
        #: What this call has unmounted and somebody else still looked at: it may go without being tried again.
        self._unmounted: dict[tuple[int, int | None, bytes], Going] = {}
        self._unmount_errors: dict[int, list[MountError]] = {}
        self._write_errors: list[tuple[Going, OSError]] = []

    def run(self, *, is_bare_name: bool) -> ReleaseReport:
        """Go round until a look finds nothing, or the deadline has passed; then say what is left."""
        try:
            return self._rounds(is_bare_name=is_bare_name)
        except ImageWriteError:
            raise
        except BaseException as other:
            for going, error in self._write_errors:  # the kernel says it only once, so it must not be lost
                other.add_note(not_written(self._kernel, self._name, going, error))
            raise

    def _rounds(self, *, is_bare_name: bool) -> ReleaseReport:
        """Storage that may hang is asked after the first round, so that it does not keep the rest waiting."""
        attempt = looks_after_deadline = 0
        while True:
            candidates = self._look(checks_name=is_bare_name and attempt == 0)
            if not candidates:
                if self._survey.probe(self._devices):
                    continue
                if self._finder.ask_again(self._deadline):
                    self._left.clear()  # among them may be what is known as the file's now
                    continue
                return self._conclude({})
            ready = [one for one in candidates if one.seen.is_asked]
            self._own = self._rdevs(candidates) if self._unmount else frozenset()
            busy = [(one, outcome) for one in ready if (outcome := self._try(one)) is not None]
            is_complete = len(ready) == len(candidates)
            looks_after_deadline += self._deadline.expired and is_complete
            if looks_after_deadline == _LOOKS_AFTER_DEADLINE or (looks_after_deadline and busy):
                return self._conclude(self._who_stays(busy))
            attempt += 1
            self._survey.probe(self._devices)
            self._survey.ask_again(one.seen for one in ready)
            if is_complete and len(busy) == len(candidates):
                self._deadline.pause(attempt)

    def run_once(self) -> None:
        """Try each device once, and take off the ledger what went."""
        self._survey.look(probes=True)
        for candidate in self._look(checks_name=False):
            self._try(candidate)
        self._look(checks_name=False)

    def _who_stays(self, busy: list[tuple[Candidate, Outcome]]) -> dict[int, tuple[Holder, ...]]:
        """Return the holders of what is still there, by number: it is a last look that says what is."""
        held = {candidate.seen.key: self._holders(candidate, outcome) for candidate, outcome in busy}
        there = {one.number: one.seen.key for one in self._look(checks_name=False)}
        return {n: held.get(key) or (other_holder(self._kernel, n, "unknown"),) for n, key in there.items()}

    def _look(self, *, checks_name: bool) -> list[Candidate]:
        """List the medium's devices under its lock, and take off the ledger what is gone."""
        book = self._records.open()
        try:
            devices = self._devices = self._survey.look()
            went = self._went_with_umount(devices)
            records = () if book is None else tuple(book.entries.values())
            found = self._finder.candidates(devices, records)
            if book is not None:
                self._records.forget_gone(book, devices, self._survey, besides=went)
            for one in self._finder.left(devices, records):
                node = self._kernel.node(one.number)
                self._left[one.number] = LeftDevice(node, self._survey.image_of(one))
            if checks_name and not (found or records):
                conclusions.check_is_no_file(self._name)
        finally:
            if book is not None:
                book.close()
        for going in went:
            self._count(going)
        # Storage that may hang comes last: it must not use up the time of the others.
        candidates = map(OtherLedgers(self._ledger).complete, found)
        return sorted(candidates, key=lambda one: (one.seen.hangs, one.number))

    def _went_with_umount(self, devices: Sequence[Seen]) -> list[Going]:
        present = {one.key for one in devices}
        return [self._unmounted.pop(key) for key in tuple(self._unmounted) if key not in present]

    def _count(self, going: Going) -> None:
        """Count a device as released by this call."""
        self._freed.released(going)
        self._records.strike(going.candidate)

    def _rdevs(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        """Return the device numbers of those that no living ``with`` block holds, partitions included."""
        ours = [one.number for one in candidates if living_owner(self._kernel, one) is None]
        return frozenset().union(*(rdevs_of(self._kernel, number) for number in ours))

    def _try(self, candidate: Candidate) -> Outcome | None:
        """Try one device; return why it stays, None when it is gone."""
        going = self._freed.going(candidate)
        if self._unmount and self._unmounts(candidate):
            self._unmounted[candidate.seen.key] = going
        attempt = Attempt(self._kernel, self._deadline, self._survey.within())
        done = attempt.detach(candidate, lambda error: self._write_errors.append((going, error)))
        if done.outcome not in (Outcome.RELEASED, Outcome.GONE):
            return done.outcome
        # A mounted device that was armed goes with its umount: that was this call's doing too.
        was_unmounted = self._unmounted.pop(candidate.seen.key, None) is not None
        if done.outcome is Outcome.RELEASED or was_unmounted:
            self._count(going)
        return None

    def _unmounts(self, candidate: Candidate) -> bool:
        """Unmount what stands on a device that is nobody's; return whether something went.

        A descriptor is held meanwhile: while it is open, the number cannot become another image's (F15).
        """
        if living_owner(self._kernel, candidate) is not None:
            return False
        try:
            handle = self._kernel.open(candidate.number)
        except OSError:  # the detach will say why
            return False
        try:
            if self._kernel.get_diskseq(handle) != candidate.seen.bound.diskseq:
                return False
            count, errors = unmount_device(self._kernel, candidate.number, self._deadline, own=self._own)
        finally:
            with contextlib.suppress(StuckError):
                self._kernel.close(handle, within=self._survey.within() if candidate.seen.hangs else None)
        # A last try, for which no time was left, says less than the one before it.
        is_late = bool(errors) and all(isinstance(one, MountTimeoutError) for one in errors)
        if not (is_late and self._unmount_errors.get(candidate.number)):
            self._unmount_errors[candidate.number] = errors
        return count > 0

    def _conclude(self, stays: dict[int, tuple[Holder, ...]]) -> ReleaseReport:
        """Return the report, or raise what stands against it."""
        report = ReleaseReport(
            medium=self._name,
            released=self._freed.devices(self._devices),
            already_gone=self._records.already_gone,
            left=tuple(self._left.values()),
            problems=tuple(self._records.problems),
        )
        holders = tuple(holder for of_one in stays.values() for holder in of_one)
        error = self._against(holders, report)
        if error is None:
            return report
        for failed in (one for number in stays for one in self._unmount_errors.get(number, ())):
            error.add_note(str(failed))
        raise error

    def _holders(self, candidate: Candidate, outcome: Outcome) -> tuple[Holder, ...]:
        attempt = Attempt(self._kernel, self._deadline, self._survey.within())
        found = attempt.holders(candidate, outcome)
        if found:
            return found
        again = self._try(candidate)  # whoever it was may have gone while nobody was found
        return () if again is None else attempt.holders(candidate, again)

    def _against(
        self, holders: tuple[Holder, ...], report: ReleaseReport
    ) -> DeviceBusyError | ImageWriteError | LedgerError | None:
        """Return what stands against the report, the worst first."""
        if self._write_errors:
            going, error = self._write_errors[0]
            message = not_written(self._kernel, self._name, going, error)
            return conclusions.lost_writes(message, going.judged.path, error, report, holders)
        if holders:
            return conclusions.still_in_use(report, holders)
        locked = self._records.lock_error
        return None if locked is None else conclusions.not_locked(locked, report)
