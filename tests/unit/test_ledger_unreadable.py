"""Ledger files of another boot, of an unknown format, and such that cannot be read."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops._ledger import Ledger

NOW = Deadline(0.0)
MEDIUM = "536a"
UNKNOWN = b'{"ntt_loops_ledger":2,"medium":"536a","packed":true}\n\xff\x00\n[[[\ntorn'
CORRUPT = [b"\n", b"x" * 5000 + b"\n", b"{}\n", b"\x00" * 4096, b'{"ntt_loops_ledger":1,"medium":"other"}\n']


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def loops(tmp_path: Path, kernel: MemoryKernel) -> Loops:
    """The library on that kernel."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def ledger(loops: Loops) -> Ledger:
    """Its ledger."""
    return loops._world().ledger


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of the medium."""
    path = tmp_path / f"{MEDIUM}.img"
    path.write_bytes(bytes(4096))
    return path


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """The medium's file."""
    return ledger.run_dir / f"{MEDIUM}.jsonl"


def test_another_boots_records_are_forgotten_and_reported(
    loops: Loops, ledger: Ledger, kernel: MemoryKernel, image: Path, path: Path
) -> None:
    """After a reboot nothing of the file is an entry, each record is named once, and no device is touched for it."""
    device = loops.attach_kept(image)
    kernel.reboot()
    successor = kernel.attach_foreign(image)
    assert successor == device.number
    with ledger.locked(MEDIUM, NOW) as book:
        assert book.entries == {}
        assert [record.number for record in book.forgotten] == [device.number]
    assert not path.exists()
    assert kernel.bound_numbers() == [successor]


def test_a_record_after_a_reboot_starts_the_file_anew(
    loops: Loops, ledger: Ledger, kernel: MemoryKernel, image: Path, path: Path
) -> None:
    """The first attach of a boot leaves none of the last boot's lines."""
    loops.attach_kept(image)
    kernel.reboot()
    loops.attach_kept(image)
    head, *events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert head["boot_id"] == kernel.boot_id()
    assert [line["event"] for line in events] == ["attached"]
    assert len(ledger.peek(MEDIUM)) == 1


def test_release_all_names_what_a_reboot_ended(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """The report of the first release after a reboot has it as already gone, the next one has nothing."""
    device = loops.attach_kept(image)
    kernel.reboot()
    (gone,) = loops.release_all(MEDIUM).already_gone
    assert gone.device == str(device)
    assert loops.release_all(MEDIUM).already_gone == ()


def test_an_unknown_format_is_left_untouched_to_the_byte(ledger: Ledger, loops: Loops, image: Path, path: Path) -> None:
    """Another version's file takes no record - LedgerError says so -, is not cut, not set aside and not removed."""
    with ledger.locked("another", NOW):  # makes the folder
        pass
    path.write_bytes(UNKNOWN)
    with pytest.raises(LedgerError, match="format that this version does not know") as caught:
        loops.attach_kept(image)
    assert (caught.value.medium, caught.value.path) == (MEDIUM, path)
    with ledger.locked(MEDIUM, NOW) as book:
        assert (book.entries, str(book.problem)) == ({}, str(caught.value))
    assert ledger.peek(MEDIUM) == ()
    assert path.read_bytes() == UNKNOWN
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_unknown_format_on_one_line_is_left_untouched_too(ledger: Ledger, path: Path) -> None:
    """A later version's file without a newline is no torn header of ours: it is neither removed nor written to."""
    with ledger.locked("another", NOW):
        pass
    text = UNKNOWN.partition(b"\n")[0]
    path.write_bytes(text)
    ledger.locked(MEDIUM, NOW).close()
    assert path.exists()
    assert path.read_bytes() == text


def test_a_release_works_beside_an_unknown_format(loops: Loops, kernel: MemoryKernel, image: Path, path: Path) -> None:
    """Devices are found by tag where the ledger cannot be read, and the report says why."""
    loops.attach_kept(image)
    path.write_bytes(UNKNOWN)
    report = loops.release_all(MEDIUM)
    assert [one.found_by for one in report.released] == ["tag"]
    assert any("does not know" in problem for problem in report.problems)
    assert kernel.bound_numbers() == []
    assert path.read_bytes() == UNKNOWN


@pytest.mark.parametrize("text", CORRUPT, ids=lambda text: repr(text[:30]))
def test_a_corrupt_file_is_set_aside_and_rebuilt_from_the_tags(
    loops: Loops, image: Path, path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is kept under another name and reported; what this ledger's tags tell is on record again."""
    ledger = loops._world().ledger
    kept = loops.attach_kept(image, offset_bytes=512)
    (lost,) = ledger.peek(MEDIUM)
    loops.attach_kept(image, medium="another")
    Loops(path.parent.with_name("other-run"), loops._world().kernel).attach_kept(image)
    path.write_bytes(text)
    with loops.attached(image, medium="third"), caplog.at_level(logging.WARNING, "ntt_loops"):
        book = ledger.locked(MEDIUM, NOW)
    with book:
        (again,) = book.entries.values()
        assert book.set_aside is not None
        assert book.set_aside.read_bytes() == text
    assert (again.key, again.dev, again.inode) == (lost.key, lost.dev, lost.inode)
    assert (again.image, again.offset_bytes, again.lifetime) == (lost.image, 512, "kept")
    assert again.owner is None
    assert again.number == kept.number
    assert str(book.set_aside) in caplog.text
    assert ledger.peek(MEDIUM) == (again,)
    loops.release_all(image)


def test_a_corrupt_file_of_a_medium_without_devices_leaves_no_ledger(ledger: Ledger, path: Path) -> None:
    """Where nothing is bound there is nothing to put on record: only what was set aside stays."""
    ledger.locked(MEDIUM, NOW).close()
    path.write_bytes(b"\n")
    with ledger.locked(MEDIUM, NOW) as book:
        assert book.entries == {}
    (aside,) = ledger.run_dir.iterdir()
    assert aside.name.startswith(f"{path.name}.aside-")
    assert ledger.media() == []


def test_a_corrupt_file_with_a_shortened_name_is_set_aside_too(loops: Loops, image: Path, ledger: Ledger) -> None:
    """An id of 250 bytes leaves room in its file name for the one it is set aside under."""
    medium = "x" * 250
    loops.attach_kept(image, medium=medium)
    (path,) = ledger.run_dir.iterdir()
    path.write_bytes(b"\n")
    report = loops.release_all(medium)
    assert [one.found_by for one in report.released] == ["ledger"]
    assert any("set aside" in problem for problem in report.problems)


def test_a_rebuild_that_fails_keeps_neither_file_nor_lock(
    loops: Loops, kernel: MemoryKernel, image: Path, path: Path, mocker: MockerFixture
) -> None:
    """Where a device may not be opened for its tag, the new file is closed and unlocked before the error goes on."""
    ledger = loops._world().ledger
    loops.attach_kept(image)
    path.write_bytes(b"\n")
    opening = mocker.patch.object(kernel, "open", side_effect=PermissionError(13, "Permission denied"))
    before = open_numbers()
    with pytest.raises(OSError, match="Permission denied"):
        ledger.locked(MEDIUM, NOW)
    assert open_numbers() == before
    mocker.stop(opening)
    ledger.locked(MEDIUM, NOW).close()
