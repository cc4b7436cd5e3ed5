"""Ledgers that were real and are not any more: whatever they say, no device goes that the kernel does not confirm."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import attrs
import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from ntt_loops import Loops, NttLoopsError
from ntt_loops._ledger import contents
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._ledger import Record

ANY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
FEWER = settings(ANY, max_examples=40)
MEDIUM = "disk-12"


class Rig(NamedTuple):
    """Two devices of the medium and three of strangers, and the ledger of the medium as it was written."""

    kernel: MemoryKernel
    loops: Loops
    ledger: Path
    ours: set[int]
    strangers: set[int]
    records: list[Record]

    def bound(self) -> set[int]:
        """Return what is attached."""
        return set(self.kernel.bound_numbers())

    def sweep_old(self) -> None:
        """Sweep kept devices of any age."""
        self.loops.sweep(kept_older_than=0)

    def release_all(self) -> None:
        """Release the medium."""
        self.loops.release_all(MEDIUM, timeout=0)


@contextmanager
def rig() -> Iterator[Rig]:
    """Build that, with a deleted image of a stranger's among it: a sweep must not take it for ours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kernel = MemoryKernel()
        loops = Loops(folder / "run", kernel)
        image = _image(folder / f"{MEDIUM}.img")
        ours = {loops.attach_kept(image).number, loops.attach_kept(image, size_limit_bytes=512).number}
        others = [_image(folder / f"other-{count}.img") for count in range(3)]
        strangers = {kernel.attach_foreign(other) for other in others}
        others[-1].unlink()
        ledger = folder / "run" / f"{MEDIUM}.jsonl"
        records = list(contents.read(ledger.read_bytes(), MEDIUM, kernel.boot_id()).entries.values())
        yield Rig(kernel, loops, ledger, ours, strangers, records)


def _image(path: Path) -> Path:
    path.write_bytes(bytes(4096))
    return path


def check(one: Rig, text: bytes) -> None:
    """Whatever the ledger says, ours go, by their tags if need be, and strangers' stay; errors are our own."""
    one.ledger.write_bytes(text)
    for call in (one.loops.list_media, one.loops.sweep, one.sweep_old, one.release_all):
        with suppress(NttLoopsError):
            call()
        assert one.bound() >= one.strangers
    assert one.bound() == one.strangers


#: Places are taken modulo the length, which differs from run to run.
PLACE = st.integers(0, 9999)
SPOILS = st.lists(
    st.tuples(st.just("bit"), PLACE, st.integers(0, 7))
    | st.tuples(st.just("cut"), PLACE, st.just(0))
    | st.tuples(st.sampled_from(["line lost", "line doubled"]), PLACE, PLACE),
    min_size=1,
    max_size=4,
)


def spoilt(text: bytes, spoils: list[tuple[str, int, int]]) -> bytes:
    """Flip bits, cut, lose lines, and write some twice, elsewhere."""
    for way, place, other in spoils:
        at = place % (len(text) + 1)
        lines = text.splitlines(keepends=True)
        if way == "bit":
            text = text[:at] + bytes(byte ^ (1 << other) for byte in text[at : at + 1]) + text[at + 1 :]
        elif way == "cut":
            text = text[:at]
        elif lines:
            line = lines[place % len(lines)]
            lines.remove(line) if way == "line lost" else lines.insert(other % len(lines), line)
            text = b"".join(lines)
    return text


@ANY
@given(SPOILS)
def test_bits_flipped_lines_cut_and_doubled(spoils: list[tuple[str, int, int]]) -> None:
    """A real ledger, spoilt."""
    with rig() as one:
        check(one, spoilt(one.ledger.read_bytes(), spoils))


@ANY
@given(st.data())
def test_a_record_of_ours_that_names_a_strangers_device(data: st.DataObject) -> None:
    """Its number and its diskseq, even, but not what it is bound to, or no tag of ours: it is not that record's."""
    with rig() as one:
        number = data.draw(st.sampled_from(sorted(one.strangers)), "number")
        record = data.draw(st.sampled_from(one.records), "record")
        diskseq = data.draw(st.sampled_from([record.diskseq, one.kernel.diskseq(number)]), "diskseq")
        forged = attrs.evolve(record, number=number, diskseq=diskseq)
        if data.draw(st.booleans(), "the image too"):
            handle = one.kernel.open(number)
            status = one.kernel.get_status(handle)
            handle.close()
            forged = attrs.evolve(forged, dev=status.backing_dev, inode=status.backing_inode, size_limit_bytes=0)
        check(one, one.ledger.read_bytes() + contents.attached(forged))


@FEWER
@given(st.binary(max_size=200))
def test_any_bytes(text: bytes) -> None:
    """No ledger at all."""
    with rig() as one:
        check(one, text)


@FEWER
@given(st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47}.intersection(name)))
def test_a_file_of_any_name_in_the_folder(name: bytes) -> None:
    """Files that are nobody's, with the text of a real ledger: nothing of a stranger's goes, all of ours does."""
    with rig() as one:
        Path(one.ledger.parent, os.fsdecode(name + b".jsonl")).write_bytes(one.ledger.read_bytes())
        check(one, one.ledger.read_bytes())
