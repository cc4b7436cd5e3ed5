"""A dry run tells what a sweep would do and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import Loops, SweepReport
from ntt_loops._medium import attempt
from tests.support import oracle
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, new_hash, new_image
from tests.support.rig import mounted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 5.0)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _world(folder: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Return the bytes of the ledger and what losetup says of the devices."""
    ledger = {path.name: path.read_bytes() for path in sorted((folder / "run").iterdir())}
    rows = [row for row in oracle.losetup_list() if (row["back-file"] or "").startswith(f"{folder}/")]
    return ledger, sorted(rows, key=lambda row: str(row["name"]))


def _facts(report: SweepReport) -> dict[str, Any]:
    """Return a report but for what the order of a sweep decides, and what is gone after one."""
    facts = {key: value for key, value in report.to_dict().items() if key != "rescuable"}
    return {key: sorted(map(str, value)) for key, value in facts.items() if isinstance(value, list)}


def _make_all_kinds(loops: Loops, folder: Path, run_dir: Path) -> None:
    """Orphans of ours and of others, a living image, one without a record, and records of what is gone."""
    for _ in range(2):
        image = new_image(folder)
        loops.attach_kept(image)
        by_losetup(image, "-P")
        image.unlink()
    loops.attach_kept(new_image(folder))
    loops.attach_kept(new_image(folder), medium="without-a-record")
    (run_dir / "without-a-record.jsonl").unlink()
    gone = loops.attach_kept(new_image(folder), medium="gone")
    oracle.losetup_detach(str(gone))
    loops.attach_kept(new_image(folder), medium="another-boot")
    file = run_dir / "another-boot.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"boot_id":"', b'"boot_id":"0'))
    with (run_dir / "gone.jsonl").open("ab") as torn:
        torn.write(b'{"event":"att')


def test_it_changes_nothing_and_tells_what_a_sweep_then_does(loops: Loops, tmp_path: Path) -> None:
    """After a dry run each ledger has the same bytes and each device the same state; a sweep then does as told."""
    _make_all_kinds(loops, tmp_path, tmp_path / "run")
    before = _world(tmp_path)
    foreseen = loops.sweep(system=True, dry_run=True)
    assert _world(tmp_path) == before
    assert foreseen.dry_run
    done = loops.sweep(system=True)
    assert (_facts(foreseen), foreseen.freed_bytes) == (_facts(done), done.freed_bytes)
    assert {one.image for one in foreseen.rescuable} == {one.image for one in done.released}
    assert done.rescuable == ()
    assert {len(done.released), len(done.adopted), len(done.forgotten)} == {4, 2}
    loops.sweep(kept_older_than=0)
    assert not oracle.bound_below(tmp_path)


def test_what_is_in_use_is_told(loops: Loops, tmp_path: Path) -> None:
    """What is mounted or read is told as kept in a dry run, with the holder, and stays as it is."""
    mounted_image, read_image = make_image(tmp_path / f"{new_hash()}.img"), new_image(tmp_path)
    on_mount, on_read = loops.attach_kept(mounted_image), by_losetup(read_image)
    with mounted(on_mount.path, tmp_path / "mnt", "-o", "ro"), reader(on_read) as process:
        mounted_image.unlink()
        read_image.unlink()
        before = _world(tmp_path)
        report = loops.sweep(system=True, dry_run=True)
        assert _world(tmp_path) == before
        assert report.released == ()
        kept = {one.device: [(holder.kind, holder.pid) for holder in one.holders] for one in report.kept}
        assert kept == {str(on_mount): [("mount", None)], on_read: [("process", process.pid)]}
        assert {one.reason for one in report.kept} == {"in use"}
    assert len(loops.sweep(system=True).released) == 2


def test_without_a_ledger_none_is_made(tmp_path: Path) -> None:
    """A dry run makes neither the ledger folder nor a file in it."""
    image, run_dir = new_image(tmp_path), tmp_path / "run"
    Loops(tmp_path / "run").attach_kept(image)
    next(run_dir.iterdir()).unlink()
    image.unlink()
    loops = Loops(run_dir, FencedKernel(tmp_path))
    assert len(loops.sweep(dry_run=True).released) == 1
    assert list(run_dir.iterdir()) == []
    loops.sweep()
    assert Loops(tmp_path / "no-run", FencedKernel(tmp_path)).sweep(dry_run=True).released == ()
    assert not (tmp_path / "no-run").exists()


def test_a_corrupt_ledger_is_left_as_it_is(loops: Loops, tmp_path: Path) -> None:
    """A dry run tells of a ledger that cannot be read, and neither moves nor changes it."""
    image = new_image(tmp_path)
    loops.attach_kept(image)
    (file,) = (tmp_path / "run").iterdir()
    file.write_bytes(b"no ledger\n")
    before = _world(tmp_path)
    report = loops.sweep(dry_run=True)
    assert _world(tmp_path) == before
    assert len(report.problems) == 1
    loops.release_all(image)
