"""The partition table that an image really has, where a test put none: an MBR with its four entries."""

from __future__ import annotations

import struct

from ntt_loops._kernel.values import SECTOR_BYTES, TableEntry

_ENTRIES, _ENTRY, _SIGNATURE = 446, struct.Struct("<4xB3xII"), b"\x55\xaa"


def read_mbr(sector: bytes) -> tuple[TableEntry, ...]:
    """Return the entries; none where the sector is no MBR."""
    if sector[510:512] != _SIGNATURE:
        return ()
    found = []
    for number in range(1, 5):
        kind, start, sectors = _ENTRY.unpack_from(sector, _ENTRIES + (number - 1) * _ENTRY.size)
        if kind and sectors:
            found.append(TableEntry(number, start * SECTOR_BYTES, sectors * SECTOR_BYTES, f"0x{kind:x}", "dos"))
    return tuple(found)
