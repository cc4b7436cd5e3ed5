"""The records of a medium while it is released: read at each look, and taken off when their attachments are gone.

What is wrong with the ledger stops no release: it is noted, and devices are found by tag and inode all the same.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._medium.candidates import is_of
from ntt_loops._medium.reports import GoneDevice
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Book, Key, Ledger, Record
    from ntt_loops._medium.candidates import Candidate
    from ntt_loops._medium.freed import Going
    from ntt_loops._medium.seen import Seen
    from ntt_loops._medium.survey import Survey


class Records:
    """One medium's.

    Attributes:
        problems: What was wrong, in words, each once.
        lock_error: Of the last look: that another process kept the ledger locked.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, medium: str, deadline: Deadline) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._medium = medium
        self._deadline = deadline
        self._gone: dict[Key, GoneDevice] = {}
        self._released: set[Key] = set()
        self.problems: list[str] = []
        self.lock_error: LedgerError | None = None

    @property
    def already_gone(self) -> tuple[GoneDevice, ...]:
        """What was on record, and had gone by itself."""
        return tuple(self._gone.values())

    def open(self) -> Book | None:
        """Open the ledger under its lock; None where that cannot be."""
        try:
            book = self._ledger.locked(self._medium, self._deadline)
        except LedgerError as error:
            self.lock_error = error if error.errno == errno.EAGAIN else None
            self._note(str(error))
            return None
        self.lock_error = None
        if book.problem is not None:
            self._note(str(book.problem))
        if book.set_aside is not None:
            self._note(f"the ledger could not be read; it was set aside as {book.set_aside}")
        for record in book.forgotten:
            self._gone[record.key] = self._gone_device(record)
        return book

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _gone_device(self, record: Record) -> GoneDevice:
        return GoneDevice(self._kernel.node(record.number), Path(os.fsdecode(record.image)))

    def forget_gone(self, book: Book, devices: Sequence[Seen], survey: Survey, *, besides: Sequence[Going]) -> None:
        """Take off what is not among the devices that were just seen; ``besides`` are those that this call released."""
        self._released |= {one.candidate.record.key for one in besides if one.candidate.record is not None}
        by_number = {one.number: one for one in devices}
        for key, record in tuple(book.entries.items()):
            if not survey.covers(record.number):
                continue
            seen = by_number.get(record.number)
            if seen is not None and is_of(record, seen):
                continue
            if key not in self._released:
                self._gone[key] = self._gone_device(record)
            try:
                book.remove(key)
            except LedgerError as error:
                self._note(str(error))

    def strike(self, candidate: Candidate) -> None:
        """See to the record of a device that went: the next look takes it off, unless another ledger has it."""
        if candidate.record is None:
            return
        self._released.add(candidate.record.key)
        if candidate.other_medium is None:
            return
        try:
            with self._ledger.locked(candidate.other_medium, self._deadline) as book:
                book.remove(candidate.record.key)
        except LedgerError as error:
            self._note(str(error))
