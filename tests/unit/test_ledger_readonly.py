"""A ledger that can be read but not written."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_descriptor, open_numbers
from ntt_loops.testing import MemoryKernel
from tests.support import oracle
from tests.support.rig import mounted

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops import LoopDevice

NOW = Deadline(0.0)
MEDIUM = "536a"
REFUSING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class ReadOnlyRun:
    """A run folder that can be made read-only: with a mount where ``real``, else by refusing to open for writing."""

    def __init__(self, run_dir: Path, monkeypatch: pytest.MonkeyPatch, *, real: bool) -> None:
        self.run_dir = run_dir
        self.real = real
        self._monkeypatch = monkeypatch

    def freeze(self) -> None:
        """Let nothing be written from now on."""
        if self.real:
            oracle.run("mount", "-o", "remount,ro", str(self.run_dir))
            return

        def refuse(path: str | os.PathLike[str], flags: int) -> io.FileIO:
            if flags & REFUSING:
                raise OSError(errno.EROFS, "Read-only file system", os.fspath(path))
            return open_descriptor(path, flags)

        self._monkeypatch.setattr("ntt_loops._ledger.folder.open_descriptor", refuse)

    def files(self) -> dict[str, bytes]:
        """Return what is in the folder."""
        return {entry.name: entry.read_bytes() for entry in self.run_dir.iterdir()}


@pytest.fixture(params=["injected", pytest.param("real", marks=pytest.mark.kernel)])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadOnlyRun]:
    """A run folder, still writable."""
    if request.param == "injected":
        yield ReadOnlyRun(tmp_path / "run", monkeypatch, real=False)
        return
    with mounted("none", tmp_path / "run", "-t", "tmpfs", "-o", "size=1m,mode=700") as run_dir:
        yield ReadOnlyRun(run_dir, monkeypatch, real=True)


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def loops(run: ReadOnlyRun, kernel: MemoryKernel) -> Loops:
    """The library over that folder."""
    return Loops(run.run_dir, kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of the medium."""
    path = tmp_path / f"{MEDIUM}.img"
    path.write_bytes(bytes(4096))
    return path


@pytest.fixture
def device(run: ReadOnlyRun, loops: Loops, image: Path) -> LoopDevice:
    """A device that was put on record before the folder became read-only."""
    made = loops.attach_kept(image)
    run.freeze()
    return made


def test_the_entries_are_readable_and_the_problem_is_noted(run: ReadOnlyRun, loops: Loops, device: LoopDevice) -> None:
    """The file is opened all the same: its entries are there, ``problem`` says why no change can be made."""
    before, numbers = run.files(), open_numbers()
    ledger = loops._world().ledger
    with ledger.locked(MEDIUM, NOW) as book:
        ((key, record),) = book.entries.items()
        assert record.number == device.number
        assert "read-only" in str(book.problem)
        with pytest.raises(LedgerError):
            book.add(record)
        with pytest.raises(LedgerError):
            book.remove(key)
        with pytest.raises(LedgerError):
            book.disown(key)
        assert list(book.entries) == [key]
    assert [one.number for one in ledger.peek(MEDIUM)] == [device.number]
    assert run.files() == before
    assert open_numbers() == numbers


@pytest.mark.usefixtures("device")
def test_a_lock_is_kept_on_a_read_only_file_too(loops: Loops) -> None:
    """Two releasers exclude each other there as anywhere."""
    ledger = loops._world().ledger
    with ledger.locked(MEDIUM, NOW), pytest.raises(LedgerError) as caught:
        ledger.locked(MEDIUM, NOW)
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("medium", [MEDIUM, "another"])
def test_nothing_is_attached_that_cannot_be_put_on_record(
    loops: Loops, kernel: MemoryKernel, image: Path, device: LoopDevice, medium: str
) -> None:
    """With a file or without one, attach is LedgerError, and no device or descriptor is left."""
    numbers = open_numbers()
    with pytest.raises(LedgerError):
        loops.attach_kept(image, medium=medium)
    with pytest.raises(LedgerError):
        loops.attached(image, medium=medium).__enter__()
    assert kernel.bound_numbers() == [device.number]
    assert open_numbers() == numbers


@pytest.mark.parametrize("by_path", [True, False])
def test_everything_is_released_and_the_problem_reported(
    run: ReadOnlyRun, loops: Loops, image: Path, device: LoopDevice, *, by_path: bool
) -> None:
    """release_all detaches the device on record, says that the ledger could not be written, and can be repeated."""
    before = run.files()
    report = loops.release_all(image if by_path else MEDIUM)
    assert [one.device for one in report.released] == [str(device)]
    assert any("read-only" in problem for problem in report.problems)
    assert loops._world().kernel.bound_numbers() == []
    again = loops.release_all(MEDIUM)
    assert again.released == ()
    assert [one.device for one in again.already_gone] == [str(device)]
    assert run.files() == before


def test_one_device_is_released_too(loops: Loops, kernel: MemoryKernel, device: LoopDevice) -> None:
    """Releasing one needs no ledger that can be written."""
    loops.release(device)
    assert kernel.bound_numbers() == []


def test_a_scoped_exit_does_not_fail_for_it(
    run: ReadOnlyRun, loops: Loops, kernel: MemoryKernel, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A block that was entered before is left as ever; that its record stays is logged."""
    with loops.attached(image):
        run.freeze()
    assert kernel.bound_numbers() == []
    assert "could not be brought up to date" in caplog.text


def test_a_corrupt_file_stays_where_it_is(run: ReadOnlyRun, loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """What cannot be set aside is not: the device is found by its tag."""
    loops.attach_kept(image)
    (run.run_dir / f"{MEDIUM}.jsonl").write_bytes(b"\n")
    run.freeze()
    report = loops.release_all(MEDIUM)
    assert [one.found_by for one in report.released] == ["tag"]
    assert report.problems
    assert kernel.bound_numbers() == []
    assert run.files() == {f"{MEDIUM}.jsonl": b"\n"}


def test_a_file_that_cannot_be_removed_does_not_undo_a_release(
    loops: Loops, kernel: MemoryKernel, image: Path, mocker: MockerFixture
) -> None:
    """In an immutable folder the device is released and reported, though the file of its record stays."""
    loops.attach_kept(image)
    mocker.patch("ntt_loops._ledger.book.os.unlink", side_effect=OSError(errno.EPERM, "Operation not permitted"))
    report = loops.release_all(MEDIUM)
    assert len(report.released) == 1
    assert kernel.bound_numbers() == []


@pytest.mark.usefixtures("device")
def test_a_sweep_reports_it(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """A sweep releases the orphan and names the problem."""
    image.unlink()
    report = loops.sweep()
    assert len(report.released) == 1
    assert any("read-only" in problem for problem in report.problems)
    assert kernel.bound_numbers() == []
