"""The record of the last sweep."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._ledger import last_sweep
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The ledger folder, which is not there yet."""
    return tmp_path / "run"


@pytest.fixture
def loops(kernel: MemoryKernel, run_dir: Path) -> Loops:
    """The library over both."""
    return Loops(run_dir, kernel)


def test_only_what_is_to_be_put_on_record_is(loops: Loops, run_dir: Path) -> None:
    """Neither a sweep in passing nor a dry run; the folder is made for one that is."""
    loops.sweep()
    loops.sweep(record=True, dry_run=True)
    assert (loops.last_sweep(), run_dir.exists()) == (None, False)
    before = time.time()
    assert loops.sweep(record=True).problems == ()
    found = loops.last_sweep()
    assert found is not None
    assert before <= found.time <= time.time()
    assert (found.outcome, found.released, found.kept, found.freed_bytes) == ("done", 0, 0, 0)
    assert found.duration_seconds >= 0
    assert [one.name for one in run_dir.iterdir()] == [last_sweep.FILE]
    assert stat.S_IMODE((run_dir / last_sweep.FILE).stat().st_mode) == 0o600


def test_the_numbers_are_those_of_the_report(loops: Loops, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Of the last one; ledgers beside it are read as ever."""
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes(bytes(4096))
        loops.attach_kept(tmp_path / name)
    loops.sweep(record=True)
    (tmp_path / "a.img").unlink()
    loops.sweep(record=True)
    found = loops.last_sweep()
    assert found is not None
    assert (found.released, found.kept, found.freed_bytes) == (1, 1, 4096)
    assert [one.medium for one in loops.list_media()] == ["b"]
    assert len(kernel.bound_numbers()) == 1


def test_a_sweep_that_fails_is_on_record_too(loops: Loops, mocker: MockerFixture) -> None:
    """An error, or Ctrl-C."""
    for error in (OSError(24, "no descriptor"), KeyboardInterrupt()):
        mocker.patch("ntt_loops._medium.recorded_sweep.sweep", side_effect=error)
        with pytest.raises((OSError, KeyboardInterrupt)):
            loops.sweep(record=True)
        found = loops.last_sweep()
        assert found is not None
        assert found.outcome == "failed"
        mocker.stopall()
        loops.sweep(record=True)


def test_what_cannot_be_written_is_a_problem_of_the_report(
    loops: Loops, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep is done all the same; what was on record is still there, and no half file is left."""
    loops.sweep(record=True)
    before = loops.last_sweep()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda _, line: len(line) // 2)
        (problem,) = loops.sweep(record=True).problems
    assert "could not be written" in problem
    assert "No space left" in problem
    assert loops.last_sweep() == before
    assert [one.name for one in run_dir.iterdir()] == [last_sweep.FILE]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"time": "now", "duration_seconds": 1, "outcome": "done"}',
        b'{"time": 1, "duration_seconds": 1, "outcome": "well"}',
        b'{"time": 1, "duration_seconds": 1, "outcome": "done", "more": 1}',
    ],
)
def test_what_cannot_be_read_is_none(loops: Loops, run_dir: Path, text: bytes) -> None:
    """And the next one is put in its place."""
    loops.sweep(record=True)
    (run_dir / last_sweep.FILE).write_bytes(text)
    assert loops.last_sweep() is None
    loops.sweep(record=True)
    assert loops.last_sweep() is not None


def test_what_others_can_write_is_not_believed(loops: Loops, run_dir: Path) -> None:
    """Neither the file nor its folder; a symlink is not followed, and not written through."""
    loops.sweep(record=True)
    (run_dir / last_sweep.FILE).chmod(0o666)
    with pytest.raises(LedgerError, match="not believed"):
        loops.last_sweep()
    (run_dir / last_sweep.FILE).unlink()
    (run_dir / last_sweep.FILE).symlink_to(run_dir.with_name("elsewhere"))
    with pytest.raises(LedgerError, match="cannot be opened"):
        loops.last_sweep()
    assert loops.sweep(record=True).problems == ()
    assert loops.last_sweep() is not None
    assert not run_dir.with_name("elsewhere").exists()
    run_dir.chmod(0o777)
    with pytest.raises(LedgerError, match="can be written by others"):
        loops.last_sweep()
    assert any("can be written by others" in one for one in loops.sweep(record=True).problems)


def test_free_numbers_are_what_is_left(loops: Loops, tmp_path: Path) -> None:
    """Of what there can be."""
    assert loops.free_numbers() == 2**20
    few = Loops(tmp_path / "few", MemoryKernel(devices=2, max_devices=2))
    (tmp_path / "a.img").write_bytes(bytes(4096))
    few.attach_kept(tmp_path / "a.img")
    assert few.free_numbers() == 1
