"""Which devices are a medium's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Identity, is_hash, is_named_for, medium_of
from ntt_loops._backoff import wait_until
from ntt_loops._ledger import token_of
from ntt_loops._medium.deletion import Deletion
from ntt_loops._medium.questions import Questions
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger, Record, Tag
    from ntt_loops._medium.reports import FoundBy
    from ntt_loops._medium.seen import Seen
    from ntt_loops._medium.survey import Survey


@attrs.frozen
class Candidate:
    """A device that is the medium's, and how that is known."""

    seen: Seen
    found_by: FoundBy
    record: Record | None
    #: The medium on whose ledger the record is, where it is another one's.
    other_medium: str | None = None

    @property
    def number(self) -> int:
        """The device's number."""
        return self.seen.number

    @property
    def identity(self) -> Identity:
        """What is known of it, from the kernel and the ledger."""
        found = self.seen.identity
        return found if self.record is None or found.backing is not None else Identity.of_record(self.record)

    @property
    def is_kept_by_us(self) -> bool:
        """Whether it is a kept device of this library's: nothing but a killed releaser arms it."""
        if self.record is not None:
            return self.record.lifetime == "kept"
        tag = self.seen.tag
        return tag is not None and tag.kept


@attrs.frozen
class Medium:
    """What is to be released: all devices of an id, or, where a path was given, of that file alone.

    Attributes:
        name: The medium's id.
        paths: The path that was given, absolute, as it is and with symlinks followed; empty for an id.
        inode: (dev, inode) of the file there; None where there is none.
        unreachable: Why it could not be told whether there is one, and which.
        ask_again: Tells it anew, where the storage did not answer.
    """

    name: str
    paths: frozenset[bytes] = frozenset()
    inode: tuple[int, int] | None = None
    unreachable: OSError | None = None
    ask_again: Callable[[], Medium] | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def is_one_file(self) -> bool:
        """Whether a path was given."""
        return bool(self.paths)


class Finder:
    """Tells the medium's devices from all others, look after look.

    A device that was found stays found as long as it is bound, and by what it was found first: that - another device of
    the same image, say - may be released before it, and once it is known its own inode is that of a known one.
    """

    def __init__(self, kernel: Kernel, medium: Medium, survey: Survey) -> None:
        self._kernel = kernel
        self.medium = medium
        self._survey = survey
        self._chosen: dict[tuple[int, int | None, bytes], FoundBy] = {}
        #: Path and (dev, inode) of the medium's images, by all records that were seen.
        self._images: set[tuple[bytes, tuple[int, int]]] = set()

    def ask_again(self, deadline: Deadline) -> bool:
        """Ask for the file that did not answer until it does, while there is time; return whether it did now."""
        questions = Questions(deadline)
        while self.medium.ask_again is not None and not deadline.expired:
            self.medium = self.medium.ask_again()
            if self.medium.unreachable is None:
                return True
            questions.put()
            wait_until(questions.is_due, deadline)
        return False

    def candidates(self, devices: list[Seen], records: Sequence[Record]) -> list[Candidate]:
        """Return the devices that are to go."""
        by_record = pair(devices, records)
        self._images |= {(record.image, (record.dev, record.inode)) for record in records}
        ways = self._of_the_file(devices) if self.medium.is_one_file else self._of_the_id(devices, by_record)
        found = [(one, self._chosen.get(one.key) or ways.get(one.number)) for one in devices]
        # One that says nothing but its path is judged anew once it has answered: a path alone is no reason to detach.
        told = [(one.key, way) for one, way in found if one.status is not None or one.key in self._chosen]
        self._chosen = {key: way for key, way in told if way is not None}
        return [Candidate(one, way, by_record.get(one.number)) for one, way in found if way is not None]

    def left(self, devices: list[Seen], records: Sequence[Record]) -> list[Seen]:
        """Return the devices of the same id whose image is another file than the one that was named."""
        if not self.medium.is_one_file:
            return []
        by_record = pair(devices, records)
        ours = [one for one in devices if one.number in by_record or self._is_tagged(one)]
        return [one for one in ours if self._file_way(one) is None]

    def _of_the_file(self, devices: list[Seen]) -> dict[int, FoundBy]:
        return {one.number: way for one in devices if (way := self._file_way(one)) is not None}

    def _file_way(self, seen: Seen) -> FoundBy | None:
        if seen.inode is not None and seen.inode == self.medium.inode:
            return "inode"
        return "path" if self._may_be_at(seen, self.medium.paths) else None

    def _of_the_id(self, devices: list[Seen], by_record: dict[int, Record]) -> dict[int, FoundBy]:
        ways: dict[int, FoundBy] = {}
        for one in devices:
            if one.number in by_record:
                ways[one.number] = "ledger"
            elif self._is_tagged(one):
                ways[one.number] = "tag"
        known = [one for one in devices if one.number in ways or one.key in self._chosen]
        # An inode is believed while a device keeps it from being used again (F29), or its path still leads to it.
        inodes = {one.inode for one in known} | self._inodes_in_place()
        paths = {one.path for one in known} | {path for path, _ in self._images}
        for one in devices:
            if one.number not in ways and (way := self._other_way(one, inodes, paths)) is not None:
                ways[one.number] = way
        return ways

    def _other_way(
        self, seen: Seen, inodes: AbstractSet[tuple[int, int] | None], paths: AbstractSet[bytes]
    ) -> FoundBy | None:
        if seen.inode is not None and seen.inode in inodes:
            return "inode"
        if self._may_be_at(seen, paths):
            return "path"
        return "name" if is_hash(self.medium.name) and self._is_named(seen) else None

    def _inodes_in_place(self) -> set[tuple[int, int]]:
        if not self._images:
            return set()
        hangs = self._kernel.may_hang([path for path, _ in self._images])
        return {
            inode
            for (path, inode), hang in zip(self._images, hangs, strict=True)
            if not hang and _file_id(self._kernel, path) == inode
        }

    def _may_be_at(self, seen: Seen, paths: AbstractSet[bytes]) -> bool:
        """Whether a device is of a deleted file of these paths; or says nothing but its path, and that is one of them.

        The latter - its storage is stuck, or its detach is under way - is never detached, but waited for and named.
        """
        if seen.path not in paths:
            return False
        return seen.status is None or self._survey.deletion_of(seen) is Deletion.DELETED

    def _is_tagged(self, seen: Seen) -> bool:
        return seen.tag is not None and seen.tag.token == token_of(self.medium.name)

    def _is_named(self, seen: Seen) -> bool:
        if not is_named_for(os.path.basename(seen.path), self.medium.name):
            return False
        # What looks like the kernel's note may be the end of a living image's name.
        return is_named_for(os.path.basename(self._survey.judged(seen).path), self.medium.name)


class OtherLedgers:
    """Records of devices that are tagged for another medium: the same file, attached under another id."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def complete(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its record, where another medium's ledger has it."""
        tag = candidate.seen.tag
        if candidate.record is not None or tag is None:
            return candidate
        for medium in media_of(self._ledger, tag):
            for record in self._ledger.peek(medium):
                if record.nonce == tag.nonce and record.number == candidate.number and is_of(record, candidate.seen):
                    return attrs.evolve(candidate, record=record, other_medium=medium)
        return candidate


def media_of(ledger: Ledger, tag: Tag) -> list[str]:
    """Return the media that a tag can stand for: its token, or, where that is a digest, those on the ledger."""
    if not tag.token.startswith("~"):
        return [tag.token]
    try:
        return [medium for medium in ledger.media() if token_of(medium) == tag.token]
    except LedgerError:
        return []


def name_by_tag(ledger: Ledger, seen: Seen) -> str | None:
    """Return the medium of a tagged device; of a digest, the ledger or the image's own name may tell."""
    if seen.tag is None:
        return None
    named = medium_of(os.fsdecode(seen.path))
    media = media_of(ledger, seen.tag) or ([named] if token_of(named) == seen.tag.token else [])
    return media[0] if media else None


def _file_id(kernel: Kernel, path: bytes) -> tuple[int, int] | None:
    try:
        return kernel.file_id(path)
    except OSError:  # whatever the errno, it does not lead to that file
        return None


def pair(devices: Iterable[Seen], records: Iterable[Record]) -> dict[int, Record]:
    """Return, by number, the record of each device that has one."""
    by_number = {one.number: one for one in devices}
    return {
        record.number: record
        for record in records
        if (one := by_number.get(record.number)) is not None and is_of(record, one)
    }


def is_of(record: Record, seen: Seen) -> bool:
    """Whether a record is of that very attachment; a diskseq alone may be one that a spoilt record has by accident."""
    if record.diskseq is not None and record.diskseq != seen.bound.diskseq:
        return False
    return seen.status is None or Identity.of_record(record).agrees(seen.status)
