"""Which ledger file is a medium's: its id, percent-encoded, or a digest of it where that is too long."""

from __future__ import annotations

import functools
import hashlib
import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

SUFFIX = ".jsonl"
#: A file name has at most 255 bytes; this leaves room for the suffix and for a name that is set aside.
_LONGEST = 200
_KEPT_OF_LONG = 160
#: Percent-encoding never makes two percent signs in a row.
_DIGEST_MARK = "%%"


@functools.lru_cache
def file_name(medium: str) -> str:
    """Return the name of the medium's ledger file."""
    name = os.fsencode(medium)
    encoded = quote_from_bytes(name, safe="")
    if len(encoded) > _LONGEST:
        encoded = encoded[:_KEPT_OF_LONG] + _DIGEST_MARK + hashlib.sha256(name).hexdigest()
    return encoded + SUFFIX


def medium_of(name: str) -> str | None:
    """Return the medium whose ledger file has that name; None where the name alone does not tell."""
    encoded = name.removesuffix(SUFFIX)
    if encoded == name or _DIGEST_MARK in encoded or not encoded.isascii():
        return None
    medium = os.fsdecode(unquote_to_bytes(encoded))
    return medium if file_name(medium) == name else None
