"""The text of a ledger file: a header line, then one line per event.

::

    {"ntt_loops_ledger":1,"medium":"536a...","boot_id":"0e7c..."}
    {"event":"attached","number":17,"diskseq":4711,"nonce":"07be1a","image":"/data/...", ...}
    {"event":"disowned","number":17,"diskseq":4711,"nonce":"07be1a"}
    {"event":"detached","number":17,"diskseq":4711,"nonce":"07be1a"}

Any bytes read as exactly one of: good, another boot's, of an unknown format, or corrupt.
"""

from __future__ import annotations

import enum
import functools
import json
from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._ledger.record import Key, Record, key_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
#: How our own first line begins, and so how one that was torn off while it was written does.
_HEADER_START = b'{"ntt_loops_ledger":%d,' % FORMAT
#: What lines of this very text say: nearly every one that is read was written or read here before. So many are
#: remembered; when there are more, all are forgotten.
_remembered: dict[bytes, Record] = {}
_MOST_REMEMBERED = 16
_encoded = json.JSONEncoder(separators=(",", ":")).encode


class Kind(enum.Enum):
    """What a file's text is."""

    GOOD = "good"
    OTHER_BOOT = "another boot's"
    UNKNOWN_FORMAT = "of an unknown format"
    CORRUPT = "corrupt"


@attrs.frozen
class Contents:
    """What a ledger file says."""

    kind: Kind
    #: What is attached by these lines, in the order it was.
    entries: dict[Key, Record] = attrs.field(factory=dict)
    #: The text up to its last newline: what is behind was torn off by a crash.
    whole_bytes: int = 0
    lines: int = 0
    medium: str | None = None


def encode(line: dict[str, Any]) -> bytes:
    """Return a line; ASCII, so that a lone surrogate of a file name survives."""
    return _encoded(line).encode("ascii") + b"\n"


@functools.lru_cache
def header(medium: str, boot_id: str) -> bytes:
    """Return the first line."""
    return encode({"ntt_loops_ledger": FORMAT, "medium": medium, "boot_id": boot_id})


def attached(record: Record) -> bytes:
    """Return the line that puts an attachment on record."""
    line = encode({"event": "attached", **record.to_line()})
    _remember(line[:-1], record)
    return line


def _remember(line: bytes, record: Record) -> None:
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[line] = record


def event(name: str, key: Key) -> bytes:
    """Return the line that says what became of an attachment."""
    number, diskseq, nonce = key
    return encode({"event": name, "number": number, "diskseq": diskseq, "nonce": nonce})


def read(text: bytes, medium: str | None, boot_id: str) -> Contents:
    """Read a file's text; ``medium`` is whose it should be, None where that is to be found out."""
    whole, newline, torn = text.rpartition(b"\n")
    if not newline and (torn.startswith(_HEADER_START) or _HEADER_START.startswith(torn)):
        return Contents(Kind.GOOD)
    first, *lines = (whole if newline else text).split(b"\n")
    try:
        kind, found = _head(first, medium, boot_id)
        if kind is Kind.UNKNOWN_FORMAT:
            return Contents(kind)
        if not newline:
            return Contents(Kind.CORRUPT)
        return Contents(kind, replay(lines), len(whole) + 1, len(lines), found)
    except (ValueError, RecursionError):  # RecursionError: a line of ten thousand brackets
        return Contents(Kind.CORRUPT)


def _head(line: bytes, medium: str | None, boot_id: str) -> tuple[Kind, str | None]:
    """Return what kind of file begins with that line, and whose it is; ValueError where it is no such line."""
    if medium is not None and line + b"\n" == header(medium, boot_id):
        return Kind.GOOD, medium
    head = _object(line)
    version, found = head.get("ntt_loops_ledger"), head.get("medium")
    if type(version) is int and version != FORMAT:
        return Kind.UNKNOWN_FORMAT, None
    if type(version) is not int or not isinstance(found, str) or medium not in (None, found):
        message = f"format {version!r}, medium {found!r}"
        raise ValueError(message)
    return Kind.GOOD if head.get("boot_id") == boot_id else Kind.OTHER_BOOT, found


def replay(lines: Iterable[bytes]) -> dict[Key, Record]:
    """Return what is still attached after these events; ValueError for one that is not known."""
    entries: dict[Key, Record] = {}
    for line in lines:
        record = _remembered.get(line)
        if record is None:
            _apply(_object(line), line, entries)
        else:
            entries[record.key] = record
    return entries


def _apply(event: dict[str, Any], line: bytes, entries: dict[Key, Record]) -> None:
    match event.get("event"):
        case "attached":
            record = record_of(event)
            _remember(line, record)
            entries[record.key] = record
        case "detached":
            entries.pop(key_of(event), None)
        case "disowned":
            disown(entries, key_of(event))
        case other:
            message = f"event {other!r}"
            raise ValueError(message)


def disown(entries: dict[Key, Record], key: Key) -> None:
    """Take the owner off an entry, where there is one of that key."""
    if key in entries:
        entries[key] = attrs.evolve(entries[key], owner=None)


def _object(line: bytes) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        message = "not an object"
        raise ValueError(message)  # noqa: TRY004 - what a file holds is data, not a caller's argument
    return value
