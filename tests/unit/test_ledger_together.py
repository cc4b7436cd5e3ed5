"""Many at one ledger file, which comes, goes and is replaced all the while."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

MEDIUM = "536a"
WORKERS = 4
ROUNDS = 40
#: Far more than it takes: no lock is ever given up here.
TIMEOUT_SECONDS = 300.0
RECORD = Record(
    number=1,
    diskseq=41,
    nonce="07be1a",
    image=b"/data/536a.img",
    dev=2049,
    inode=131,
    offset_bytes=0,
    size_limit_bytes=0,
    lifetime="kept",
    owner=None,
    time=1.75e9,
    uptime=4242.5,
)


def come_and_go(ledger: Ledger, worker: int) -> set[int]:
    """Attach and detach at random, one opening a change; return what it left on record."""
    chance = random.Random(worker)
    left: set[int] = set()
    for number in range(worker * 1000, worker * 1000 + ROUNDS):
        mine = attrs.evolve(RECORD, number=number)
        with ledger.locked(MEDIUM, Deadline.after(TIMEOUT_SECONDS)) as book:
            before = len(book.entries)
            book.add(mine)
            assert len(book.entries) == before + 1
        if chance.random() < 0.1:
            left.add(number)
            continue
        with ledger.locked(MEDIUM, Deadline.after(TIMEOUT_SECONDS)) as book:
            assert mine.key in book.entries
            book.remove(mine.key)
    return left


def test_nothing_that_many_wrote_at_once_is_lost(tmp_path: Path) -> None:
    """Each worker finds its own record again, and at the end there is exactly what each of them left."""
    ledger = Ledger(tmp_path / "run", MemoryKernel())
    numbers = open_numbers()
    with ThreadPoolExecutor(WORKERS) as pool:
        left = set().union(*pool.map(lambda worker: come_and_go(ledger, worker), range(WORKERS)))
    assert {record.number for record in ledger.peek(MEDIUM)} == left
    assert open_numbers() == numbers
    with ledger.locked(MEDIUM, Deadline.after(TIMEOUT_SECONDS)) as book:
        for key in tuple(book.entries):
            book.remove(key)
    assert list(ledger.run_dir.iterdir()) == []
