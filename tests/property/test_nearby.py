"""Of many media each looks at its own devices only, and finds the same as among all of the host."""

from __future__ import annotations

import tracemalloc

import hypothesis.strategies as st
from hypothesis import given, settings

from ntt_loops._backoff import Deadline
from ntt_loops._kernel import BoundDevice, LoopStatus
from ntt_loops._ledger import Record, Tag, token_of
from ntt_loops._medium.candidates import Finder, Medium
from ntt_loops._medium.nearby import Nearby
from ntt_loops._medium.seen import Seen
from ntt_loops._medium.survey import Survey
from ntt_loops.testing import MemoryKernel

HASH = "536a933b4481f605fcd44615740a9025"
MEDIA = [HASH, "disk-12", "x" * 70]
PATHS = [
    b"/data/" + name for name in (HASH.encode(), HASH.encode() + b".img", b"disk-12.img", b"536a.img", b"other.img")
]
INODES = st.tuples(st.just(2049), st.integers(1, 2))
NONCES = st.sampled_from(["07be1a", "07be1b"])


@st.composite
def statuses(draw: st.DrawFn, number: int) -> LoopStatus:
    """Draw what a device says: with a tag of ours, or with somebody's name."""
    dev, inode = draw(INODES)
    ours = Tag("9f31c2d4", draw(st.booleans()), draw(NONCES), token_of(draw(st.sampled_from(MEDIA))))
    name = draw(st.sampled_from([bytes(ours), b"losetup", b""]))
    return LoopStatus(number, dev, inode, 0, 0, name, read_only=True, autoclear=False, partscan=True)


@st.composite
def hosts(draw: st.DrawFn) -> list[Seen]:
    """Draw the bound devices of a host."""
    numbers = sorted(draw(st.sets(st.integers(0, 9), max_size=6)))
    endings = st.sampled_from([b"", b" (deleted)"])
    return [
        Seen(BoundDevice(n, n, draw(st.sampled_from(PATHS)) + draw(endings)), draw(statuses(n) | st.none()))
        for n in numbers
    ]


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Draw a medium's ledger."""
    found = []
    for number in draw(st.sets(st.integers(0, 9), max_size=3)):
        dev, inode = draw(INODES)
        path = draw(st.sampled_from(PATHS))
        found.append(Record(number, number, draw(NONCES), path, dev, inode, 0, 0, "kept", None, 0.0, 0.0))
    return found


@settings(deadline=None, max_examples=400)
@given(hosts(), st.sampled_from(MEDIA), records())
def test_the_same_is_found_as_among_all(devices: list[Seen], medium: str, ledger: list[Record]) -> None:
    """No device that is the medium's, in whatever way it is known, is left out."""
    kernel = MemoryKernel()
    survey = Survey(kernel, Deadline.after(1.0))
    among_all = Finder(kernel, Medium(medium), survey).candidates(devices, ledger)
    nearby = Nearby(devices).of(medium, ledger)
    assert Finder(kernel, Medium(medium), survey).candidates(nearby, ledger) == among_all


def test_a_thousand_devices_of_one_image_are_counted_once_each() -> None:
    """All keys of each lead to all others: told one by one, a million times, they were gigabytes."""
    tag = Tag("9f31c2d4", True, "07be1a", token_of(HASH))  # noqa: FBT003 - as it is drawn above
    devices = [
        Seen(
            BoundDevice(n, n, PATHS[1]),
            LoopStatus(n, 2049, 1, 0, 0, bytes(tag), read_only=True, autoclear=False, partscan=True),
        )
        for n in range(1000)
    ]
    ledger = [Record(n, n, "07be1a", PATHS[1], 2049, 1, 0, 0, "kept", None, 0.0, 0.0) for n in range(1000)]
    nearby = Nearby(devices)
    tracemalloc.start()
    try:
        assert nearby.of(HASH, ledger) == devices
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10 * 2**20
