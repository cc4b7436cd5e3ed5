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
import json
from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._ledger.record import Key, Record, key_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
#: How our own first line begins, and so how one that was torn off while it was written does.
_HEADER_START = b'{"ntt_loops_ledger":%d,' % FORMAT


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
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def header(medium: str, boot_id: str) -> bytes:
    """Return the first line."""
    return encode({"ntt_loops_ledger": FORMAT, "medium": medium, "boot_id": boot_id})


def attached(record: Record) -> bytes:
    """Return the line that puts an attachment on record."""
    return encode({"event": "attached", **record.to_line()})


def event(name: str, key: Key) -> bytes:
    """Return the line that says what became of an attachment."""
    number, diskseq, nonce = key
    return encode({"event": name, "number": number, "diskseq": diskseq, "nonce": nonce})


def read(text: bytes, medium: str | None, boot_id: str) -> Contents:
    """Read a file's text; ``medium`` is whose it should be, None where that is to be found out."""
    whole, newline, torn = text.rpartition(b"\n")
    if not newline and (torn.startswith(_HEADER_START) or _HEADER_START.startswith(torn)):
        return Contents(Kind.GOOD)
    first, *rest = (whole if newline else text).split(b"\n")
    try:
        head = _object(first)
        version = head.get("ntt_loops_ledger")
        if type(version) is not int:
            return Contents(Kind.CORRUPT)
        if version != FORMAT:
            return Contents(Kind.UNKNOWN_FORMAT)
        if not newline:
            return Contents(Kind.CORRUPT)
        return _read_format_1(head, rest, medium, boot_id, len(whole) + 1)
    except (ValueError, RecursionError):  # RecursionError: a line of ten thousand brackets
        return Contents(Kind.CORRUPT)


def _read_format_1(
    head: dict[str, Any], lines: list[bytes], medium: str | None, boot_id: str, whole_bytes: int
) -> Contents:
    found = head.get("medium")
    if not isinstance(found, str) or medium not in (None, found):
        message = f"medium {found!r}"
        raise ValueError(message)
    kind = Kind.GOOD if head.get("boot_id") == boot_id else Kind.OTHER_BOOT
    return Contents(kind, replay(map(_object, lines)), whole_bytes, len(lines), found)


def replay(lines: Iterable[dict[str, Any]]) -> dict[Key, Record]:
    """Return what is still attached after these events; ValueError for one that is not known."""
    entries: dict[Key, Record] = {}
    for line in lines:
        match line.get("event"):
            case "attached":
                record = record_of(line)
                entries[record.key] = record
            case "detached":
                entries.pop(key_of(line), None)
            case "disowned":
                disown(entries, key_of(line))
            case other:
                message = f"event {other!r}"
                raise ValueError(message)
    return entries


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
