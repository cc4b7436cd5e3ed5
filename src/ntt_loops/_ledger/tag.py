"""The tag: what every device of ours carries in ``lo_file_name``, so that it is known even where no record is (F4).

``ntt1:<registry>:<k|s>:<nonce>:<medium>``, at most 63 bytes, compared whole::

    ntt1:9f31c2d4:s:07be1a:536a933b4481f605fcd44615740a9025
         │        │ │      └ the medium's id, or "~" and a digest where it does not fit
         │        │ └ six random hex digits: an identity of the attachment where there is no diskseq (F8)
         │        └ kept or scoped
         └ which ledger folder, in which boot
"""

from __future__ import annotations

import functools
import hashlib
import os
import re

import attrs

from ntt_loops._kernel.values import NAME_BYTES

_SHAPE = re.compile(rb"ntt1:([0-9a-f]{8}):([ks]):([0-9a-f]{6}):([A-Za-z0-9._-]+|~[0-9a-f]{32})", re.DOTALL)
_PLAIN = re.compile(rb"[A-Za-z0-9._-]+")
_TOKEN_BYTES = NAME_BYTES - len(b"ntt1:00000000:k:000000:")


@attrs.frozen
class Tag:
    """A tag, taken apart."""

    registry: str
    kept: bool
    nonce: str
    token: str

    def __bytes__(self) -> bytes:
        letter = "k" if self.kept else "s"
        return f"ntt1:{self.registry}:{letter}:{self.nonce}:{self.token}".encode("ascii")

    @classmethod
    def read(cls, name: bytes) -> Tag | None:
        """Take ``lo_file_name`` apart; None where somebody else wrote it."""
        match = _SHAPE.fullmatch(name) if len(name) <= NAME_BYTES else None
        if match is None:
            return None
        registry, letter, nonce, token = (group.decode("ascii") for group in match.groups())
        return cls(registry, letter == "k", nonce, token)


def new_nonce() -> str:
    """Return six random hex digits."""
    return os.urandom(3).hex()


@functools.lru_cache
def token_of(medium: str) -> str:
    """Return what stands for a medium in its tags: its id where that fits, else a digest of it."""
    name = os.fsencode(medium)
    if len(name) <= _TOKEN_BYTES and _PLAIN.fullmatch(name):
        return medium
    return "~" + hashlib.sha256(name).hexdigest()[:32]


@functools.lru_cache
def registry_of(boot_id: str, dev: int, inode: int) -> str:
    """Return the eight hex digits that stand for one ledger folder in one boot."""
    return hashlib.sha256(f"{boot_id}:{dev}:{inode}".encode()).hexdigest()[:8]
