"""What a sweep does for the ledger: records of what is gone are forgotten, devices without a record are put on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._medium import attempt
from tests.support import oracle
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, is_bound, new_id, new_image

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopDevice


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 5.0)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The ledger folder."""
    return tmp_path / "run"


@pytest.fixture
def loops(tmp_path: Path, run_dir: Path) -> Loops:
    """The library, with that ledger; "the whole host" is what lies below this test's folder."""
    return Loops(run_dir, FencedKernel(tmp_path))


def _detach_as_others(device: LoopDevice) -> None:
    oracle.losetup_detach(str(device))
    oracle.wait_until(lambda: not is_bound(device), "losetup detaches it")


def _as_of_another_boot(file: Path) -> None:
    head, _, rest = file.read_text().partition("\n")
    file.write_text(json.dumps({**json.loads(head), "boot_id": "another"}, separators=(",", ":")) + "\n" + rest)


def test_records_of_what_is_gone(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A record whose attachment others ended is forgotten, and told with device and image; the others stay."""
    image = new_image(tmp_path)
    gone, there = loops.attach_kept(image), loops.attach_kept(image)
    _detach_as_others(gone)
    (forgotten,) = loops.sweep().forgotten
    assert (forgotten.medium, forgotten.device, forgotten.image) == (image.stem, str(gone), image)
    assert forgotten.reason == "gone"
    assert loops.sweep().forgotten == ()
    assert [one.found_by for one in loops.release_all(image.stem).released] == ["ledger"]
    assert not is_bound(there)
    assert list(run_dir.iterdir()) == []


def test_records_of_another_boot(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A record of another boot is forgotten, and whatever has its number today is not touched."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image, medium="of-another-boot")
    (file,) = run_dir.iterdir()
    _as_of_another_boot(file)
    _detach_as_others(device)
    stranger = by_losetup(new_image(tmp_path))
    (forgotten,) = loops.sweep().forgotten
    assert (forgotten.device, forgotten.reason) == (str(device), "another boot")
    assert is_bound(stranger)
    assert list(run_dir.iterdir()) == []
    oracle.losetup_detach(stranger)


@pytest.mark.parametrize("name", ["short", "long name, with blanks, {}"])
@pytest.mark.parametrize("lost", ["file", "boot"])
def test_a_kept_device_without_a_record_is_adopted(
    loops: Loops, tmp_path: Path, run_dir: Path, name: str, lost: str
) -> None:
    """A kept device that no record is of, its image there, is put on record again; a release then finds it there."""
    medium = f"{new_id()} {name.format('x' * 60)}" if name != "short" else new_id()
    image = new_image(tmp_path).rename(tmp_path / f"{medium}.img")
    device = loops.attach_kept(image)
    (file,) = run_dir.iterdir()
    if lost == "file":
        file.unlink()
    else:
        _as_of_another_boot(file)
    report = loops.sweep()
    assert [(one.medium, one.device, one.image) for one in report.adopted] == [(medium, str(device), image)]
    assert report.released == ()
    assert loops.sweep().adopted == ()
    assert [(one.device, one.found_by) for one in loops.release_all(medium).released] == [(str(device), "ledger")]


def test_a_with_block_without_a_record_is_not_adopted(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A scoped device whose record was lost is left as it is: it dies with its process."""
    with loops.attached(new_image(tmp_path)) as device:
        next(run_dir.iterdir()).unlink()
        report = loops.sweep()
        assert report.adopted == ()
        assert [(one.device, one.reason) for one in report.kept] == [(str(device), "image exists")]
        assert is_bound(device)
    assert not is_bound(device)


def test_an_orphan_without_a_record_is_not_adopted(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A kept device without a record whose image is deleted is an orphan, and is detached."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    next(run_dir.iterdir()).unlink()
    image.unlink()
    report = loops.sweep()
    assert [(one.device, one.found_by) for one in report.released] == [(str(device), "tag")]
    assert report.adopted == ()


def test_kept_longer_than(loops: Loops, tmp_path: Path) -> None:
    """With an age, kept attachments of that age go though their image is there; younger ones stay, with the reason."""
    device = loops.attach_kept(new_image(tmp_path))
    (kept,) = loops.sweep(kept_older_than=3600).kept
    assert (kept.device, kept.reason) == (str(device), "too young")
    assert [one.device for one in loops.sweep(kept_older_than=0).released] == [str(device)]
    assert not is_bound(device)


def test_an_age_is_of_kept_attachments_only(loops: Loops, tmp_path: Path) -> None:
    """An age is nothing to a with block, nor to what others attached, however long ago."""
    foreign = by_losetup(new_image(tmp_path))
    with loops.attached(new_image(tmp_path)) as device:
        report = loops.sweep(kept_older_than=0, system=True)
        assert report.released == ()
        assert [(one.device, one.reason) for one in report.kept] == [(str(device), "owner alive")]
    assert is_bound(foreign)
    oracle.losetup_detach(foreign)


@pytest.mark.parametrize("age", [-1, float("nan")])
def test_an_age_that_is_none_is_refused(loops: Loops, age: float) -> None:
    """A negative age, or one that is no number, is ValueError."""
    with pytest.raises(ValueError, match="zero or more"):
        loops.sweep(kept_older_than=age)


def test_a_corrupt_ledger_is_made_anew(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A ledger that cannot be read is set aside and made anew from the tags, and the report says so."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    next(run_dir.iterdir()).write_bytes(b"no ledger\n")
    report = loops.sweep()
    assert [one.device for one in report.kept] == [str(device)]
    assert any("set aside as" in problem for problem in report.problems)
    assert [one.found_by for one in loops.release_all(image.stem).released] == ["ledger"]


def test_one_bad_ledger_does_not_stop_the_others(loops: Loops, tmp_path: Path, run_dir: Path) -> None:
    """A ledger of another format, one that is a symlink, one that is a folder: told as problems, all else is swept."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    image.unlink()
    (run_dir / "a.jsonl").write_bytes(b'{"ntt_loops_ledger":99}\n')
    (run_dir / "a.jsonl").chmod(0o600)
    (run_dir / "b.jsonl").symlink_to("a.jsonl")
    (run_dir / "c.jsonl").mkdir()
    report = loops.sweep()
    assert [one.device for one in report.released] == [str(device)]
    assert len(report.problems) == 3
