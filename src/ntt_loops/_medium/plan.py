"""What a sweep is to do with each device: to be detached, or kept, and why. Nothing is detached here."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._ledger.contents import Kind
from ntt_loops._ledger.rebuild import record_of_tagged
from ntt_loops._medium.attempt import living_owner
from ntt_loops._medium.candidates import Candidate, OtherLedgers, name_by_tag, pair
from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.reports import AdoptedDevice, ForgottenRecord, Reason
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Book, Key, Ledger, Record
    from ntt_loops._medium.seen import Seen
    from ntt_loops._medium.survey import Survey

#: A ledger that another process keeps locked for longer is left to the next sweep.
_LOCK_SECONDS = 0.5


@attrs.frozen
class Scope:
    """What a sweep may touch.

    Attributes:
        under: Folders, absolute: devices whose deleted image lay below one of them.
        system: Every device whose image is deleted.
        kept_older_than: Seconds; kept attachments of that age too, though their image is there. None: no age is enough.
        dry_run: Change nothing.
    """

    under: frozenset[bytes] = frozenset()
    system: bool = False
    kept_older_than: float | None = None
    dry_run: bool = False

    def has(self, path: bytes) -> bool:
        """Whether somebody else's deleted image may be swept."""
        return self.system or any(path.startswith(folder.rstrip(b"/") + b"/") for folder in self.under)


@attrs.frozen
class Plan:
    """A device that was looked at: to be detached, or kept for a reason."""

    candidate: Candidate
    medium: str | None
    reason: Reason | None


class Planner:
    """Looks at the ledgers, at our tags, and where it was asked to, at the host.

    Attributes:
        plans: What to do, by number.
        forgotten: Records that were taken off, or in a dry run would be.
        adopted: Devices that were put on record, or in a dry run would be.
        problems: What was wrong with a ledger, in words.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, scope: Scope, survey: Survey, deadline: Deadline) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._scope = scope
        self._survey = survey
        self._deadline = deadline
        self.plans: dict[int, Plan] = {}
        self.forgotten: list[ForgottenRecord] = []
        self.adopted: list[AdoptedDevice] = []
        self.problems: list[str] = []

    def plan(self) -> None:
        """Look once."""
        media = self._media()
        registry = self._registry()
        devices = self._survey.look(probes=True)
        tagged = [one for one in devices if one.tag is not None and one.tag.registry == registry]
        names = {one.number: name_by_tag(self._ledger, one) for one in tagged}
        for medium in sorted(media.union(filter(None, names.values()))):
            self._plan_medium(medium, {number for number, name in names.items() if name == medium})
        for one in tagged:
            if one.number not in self.plans:
                self._plan_ours(OtherLedgers(self._ledger).complete(Candidate(one, "tag", None)), names[one.number])
        for one in devices:
            if one.number not in self.plans and self._scope.has(one.path):
                self._plan_foreign(one)

    def _media(self) -> set[str]:
        try:
            return set(self._ledger.media())
        except LedgerError as error:
            self.problems.append(str(error))
            return set()

    def _registry(self) -> str | None:
        try:
            return self._ledger.registry()
        except LedgerError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None

    def _plan_medium(self, medium: str, tagged: set[int]) -> None:
        """Plan for the devices on one ledger, and for tagged ones of its medium that it lacks."""
        try:
            book = self._open(medium)
        except LedgerError as error:
            self.problems.append(str(error))
            return
        except FileNotFoundError:  # a dry run makes no file where there is none
            for one in self._survey.look(tagged):
                self._plan_tagged(None, one, medium)
            return
        with book:
            self._note(book)
            # Asked again under the lock: what was attached since the listing is on record, and is not gone.
            devices = self._survey.look(tagged.union(record.number for record in book.entries.values()))
            by_record = pair(devices, book.entries.values())
            self._forget(book, {record.key for record in by_record.values()})
            for one in devices:
                record = by_record.get(one.number)
                if record is not None:
                    self._plan_ours(Candidate(one, "ledger", record), medium)
                elif one.tag is not None and one.number in tagged:
                    self._plan_tagged(book, one, medium)

    def _open(self, medium: str) -> Book:
        until = self._deadline.sooner(_LOCK_SECONDS)
        if self._scope.dry_run:
            return self._ledger.locked_for_reading(medium, until)
        return self._ledger.locked(medium, until)

    def _note(self, book: Book) -> None:
        if book.kind is Kind.CORRUPT:
            self.problems.append(f"the ledger of medium {book.medium!r} ({book.path}) cannot be read")
        elif book.problem is not None and not self._scope.dry_run:
            self.problems.append(str(book.problem))
        if book.set_aside is not None:
            self.problems.append(f"the ledger of medium {book.medium!r} was set aside as {book.set_aside}")
        for record in book.forgotten:
            self.forgotten.append(self._forgotten_record(book.medium, record, is_other_boot=True))

    def _forget(self, book: Book, attached: set[Key]) -> None:
        for key, record in tuple(book.entries.items()):
            if key in attached:
                continue
            self.forgotten.append(self._forgotten_record(book.medium, record, is_other_boot=False))
            if not self._scope.dry_run:
                self._write(partial(book.remove, key))

    def _forgotten_record(self, medium: str, record: Record, *, is_other_boot: bool) -> ForgottenRecord:
        node = self._kernel.node(record.number)
        image = Path(os.fsdecode(record.image))
        return ForgottenRecord(medium, node, image, "another boot" if is_other_boot else "gone")

    def _write(self, change: Callable[[], None]) -> bool:
        try:
            change()
        except LedgerError as error:
            self.problems.append(str(error))
            return False
        return True

    def _plan_tagged(self, book: Book | None, seen: Seen, medium: str) -> None:
        """Put a kept device on record that its maker could not; an orphan goes as it is."""
        if seen.tag is None or seen.status is None:
            return
        record: Record | None = None
        if seen.tag.kept and self._deletion(seen) is Deletion.LIVING:
            record = record_of_tagged(self._kernel, seen.bound, seen.status, seen.tag)
            if self._scope.dry_run or book is None or self._write(partial(book.add, record)):
                node = self._kernel.node(seen.number)
                self.adopted.append(AdoptedDevice(medium, node, self._survey.image_of(seen)))
        self._plan_ours(Candidate(seen, "tag", record), medium)

    def _plan_ours(self, candidate: Candidate, medium: str | None) -> None:
        self.plans[candidate.number] = Plan(candidate, medium, self._reason_to_keep(candidate))

    def _plan_foreign(self, seen: Seen) -> None:
        deletion = self._deletion(seen)
        if deletion is Deletion.LIVING:
            return
        reason: Reason | None = None if deletion is Deletion.DELETED else _unknown(seen)
        self.plans[seen.number] = Plan(Candidate(seen, "deleted", None), None, reason)

    def _deletion(self, seen: Seen) -> Deletion:
        return self._survey.deletion_of(seen)

    def _reason_to_keep(self, candidate: Candidate) -> Reason | None:
        if living_owner(self._kernel, candidate) is not None:
            return "owner alive"
        deletion = self._deletion(candidate.seen)
        if deletion is Deletion.DELETED:
            return None
        if deletion is Deletion.UNKNOWN:
            return _unknown(candidate.seen)
        return self._reason_of_age(candidate)

    def _reason_of_age(self, candidate: Candidate) -> Reason | None:
        """Return why a device stays whose image is there."""
        limit, record = self._scope.kept_older_than, candidate.record
        if limit is None or record is None or record.lifetime != "kept":
            return "image exists"
        return None if self._kernel.uptime() - record.uptime >= limit else "too young"


def _unknown(seen: Seen) -> Reason:
    """Return why it is not known whether an image is deleted."""
    if seen.stuck or seen.is_dead:
        return "storage does not answer"
    if not seen.has_node:
        return "no node"
    return "detach under way" if seen.status is None else "deletion unknown"
