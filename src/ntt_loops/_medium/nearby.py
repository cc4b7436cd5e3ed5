"""A listing by what a medium's devices are known by: so that of a thousand media each looks at its own devices only."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from ntt_loops._ledger import token_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from ntt_loops._ledger import Record
    from ntt_loops._medium.seen import Seen

#: ("number", 7), ("token", ...), ("inode", ...), ("path", ...) or ("name", ...).
_Key = tuple[str, "Hashable"]


class Nearby:
    """The devices of the host, by each of the ways that ``Finder`` goes."""

    def __init__(self, devices: Iterable[Seen]) -> None:
        self._by_key: defaultdict[_Key, list[Seen]] = defaultdict(list)
        for one in devices:
            for key in _keys(one):
                self._by_key[key].append(one)

    def of(self, medium: str, records: Sequence[Record]) -> list[Seen]:
        """Return, by number, every device that ``Finder`` can take for the medium's; perhaps others too."""
        known = self._at(_keys_of(medium, records))
        near = self._at(key for one in known.values() for key in _keys(one))
        return [one for _, one in sorted((known | near).items())]

    def _at(self, keys: Iterable[_Key]) -> dict[int, Seen]:
        """Return by number what has one of the keys; each key once: a thousand devices may have one in common."""
        return {one.number: one for key in set(keys) for one in self._by_key.get(key, ())}


def _keys(seen: Seen) -> Iterator[_Key]:
    yield "number", seen.number
    yield "path", seen.path
    yield "name", os.path.basename(seen.path).partition(b".")[0]
    if seen.inode is not None:
        yield "inode", seen.inode
    if seen.tag is not None:
        yield "token", seen.tag.token


def _keys_of(medium: str, records: Sequence[Record]) -> Iterator[_Key]:
    yield "token", token_of(medium)
    yield "name", os.fsencode(medium)
    for record in records:
        yield "number", record.number
        yield "path", record.image
        yield "inode", (record.dev, record.inode)
