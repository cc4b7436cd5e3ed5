"""Sweeping and listing, on every kernel."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._backoff import Deadline
from ntt_loops._medium import attempt

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops import SweepReport
    from tests.support.world import World


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


def is_bound(world: World, number: int, image: Path) -> bool:
    """Whether a number is bound to an image, living or deleted."""
    found = world.kernel.look(number)
    return found is not None and found.backing_file.startswith(os.fsencode(image))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 0.5)


def reasons(report: SweepReport) -> dict[str, str]:
    """Return why each device was kept."""
    return {one.device: one.reason for one in report.kept}


def test_orphans_of_ours_go_and_nobody_elses(world: World, loops: Loops) -> None:
    """By default a kept device whose image was deleted goes, with its bytes; a stranger's orphan does not."""
    image, strange = world.image(), world.image()
    device, number = loops.attach_kept(image), world.attach_foreign(strange)
    image.unlink()
    strange.unlink()
    report = loops.sweep()
    assert [one.device for one in report.released] == [str(device)]
    assert report.freed_bytes == device.size_bytes
    assert list(loops._world().ledger.run_dir.iterdir()) == []
    assert is_bound(world, number, strange)
    loops.release_all(strange)


@pytest.mark.parametrize("several", [False, True])
def test_under_adds_the_orphans_below_a_folder(world: World, loops: Loops, *, several: bool) -> None:
    """With under=, a stranger's orphan below that folder goes; one beside it, or whose image is there, does not."""
    folder = world.folder / "img"
    folder.mkdir()
    inside, living, beside = (
        world.image().rename(path) for path in (folder / "a", folder / "b", world.folder / "img2")
    )
    numbers = [world.attach_foreign(one) for one in (inside, living, beside)]
    inside.unlink()
    beside.unlink()
    report = loops.sweep(under=[folder, "/nowhere"] if several else str(folder))
    assert [(one.device, one.found_by) for one in report.released] == [(f"/dev/loop{numbers[0]}", "deleted")]
    assert is_bound(world, numbers[1], living)
    assert is_bound(world, numbers[2], beside)
    loops.release_all(living)
    loops.release_all(beside)


def test_a_dry_run_changes_nothing_and_tells_the_same(world: World, loops: Loops, tmp_path: Path) -> None:
    """A dry run reports what the sweep then does; devices and ledger files are as they were."""
    image, busy_image = world.image(), world.image()
    idle, busy = loops.attach_kept(image), loops.attach_kept(busy_image)
    reader = world.open_elsewhere(busy.number)
    image.unlink()
    busy_image.unlink()
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    foreseen = loops.sweep(dry_run=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    assert is_bound(world, idle.number, image)
    done = loops.sweep()
    assert foreseen.released == done.released
    assert reasons(foreseen) == reasons(done) == {str(busy): "in use"}
    assert reader.pid in [one.pid for one in done.kept[0].holders]
    reader.close()
    assert [one.device for one in loops.sweep().released] == [str(busy)]


def test_kept_devices_whose_image_is_there_stay_unless_an_age_is_given(world: World, loops: Loops) -> None:
    """Without kept_older_than= a living image's device stays however old; with it, from that age on, it goes."""
    device = loops.attach_kept(world.image())
    assert reasons(loops.sweep()) == {str(device): "image exists"}
    assert reasons(loops.sweep(kept_older_than=3600)) == {str(device): "too young"}
    assert [one.device for one in loops.sweep(kept_older_than=0).released] == [str(device)]


def test_a_living_block_is_kept_for_its_owner(world: World, loops: Loops) -> None:
    """The device of a with block stays, though its image is deleted, and its owner is named."""
    image = world.image()
    with loops.attached(image) as device:
        image.unlink()
        report = loops.sweep()
        assert reasons(report) == {str(device): "owner alive"}
        assert [(one.kind, one.pid) for one in report.kept[0].holders] == [("owner", os.getpid())]


def test_a_kept_device_without_a_record_is_adopted(world: World, loops: Loops, tmp_path: Path) -> None:
    """A tagged device whose record was never written is put on record, once; its image is there, so it stays."""
    device = loops.attach_kept(world.image(), medium="zip 12")
    (tmp_path / "run" / "zip%2012.jsonl").unlink()
    assert [one.device for one in loops.sweep(dry_run=True).adopted] == []  # a digest tag: nothing names the medium
    medium = f"zip-{uuid.uuid4()}"
    plain = loops.attach_kept(world.image(), medium=medium)
    (tmp_path / "run" / f"{medium}.jsonl").unlink()
    assert [(one.medium, one.device) for one in loops.sweep(dry_run=True).adopted] == [(medium, str(plain))]
    assert not (tmp_path / "run" / f"{medium}.jsonl").exists()
    assert [(one.medium, one.device) for one in loops.sweep().adopted] == [(medium, str(plain))]
    assert loops.sweep().adopted == ()
    assert len(loops.release_all(medium).released) == 1
    loops.release(device)


def test_records_of_what_is_gone_are_forgotten(world: World, loops: Loops, tmp_path: Path) -> None:
    """A record whose device was detached by hand, and one of another boot, go, and no device is touched."""
    device = loops.attach_kept(world.image(), medium="gone")
    handle = world.open(device.number, exclusive=True)
    world.clear_alone(handle)
    handle.close()
    rebooted = f"rebooted-{uuid.uuid4()}"
    alive = loops.attach_kept(world.image(), medium=rebooted)
    file = tmp_path / "run" / f"{rebooted}.jsonl"
    file.write_text(file.read_text().replace(world.kernel.boot_id(), "another"))
    report = loops.sweep()
    assert {(one.medium, one.reason) for one in report.forgotten} == {("gone", "gone"), (rebooted, "another boot")}
    assert is_bound(world, alive.number, alive.image)
    assert len(loops.release_all(rebooted).released) == 1


def test_a_living_image_is_never_called_deleted(world: World, loops: Loops) -> None:
    """Renamed, named "x (deleted)", or unlinked and linked back, an image lives, and its device stays."""
    renamed, odd, relinked = world.image(), world.image(), world.image()
    odd = odd.rename(odd.with_name("x (deleted)"))
    devices = [loops.attach_kept(one) for one in (renamed, odd, relinked)]
    renamed.rename(renamed.with_name("renamed"))
    spare = relinked.with_name("spare")
    spare.hardlink_to(relinked)
    relinked.unlink()
    relinked.hardlink_to(spare)
    assert reasons(loops.sweep(system=False, under=world.folder)) == {str(one): "image exists" for one in devices}
    for one in devices:
        loops.release(one)


def test_a_file_at_the_old_path_does_not_hide_an_orphan(world: World, loops: Loops) -> None:
    """An image that was deleted and made anew at its path leaves an orphan all the same."""
    image = world.image()
    device = loops.attach_kept(image)
    image.unlink()
    world.image().rename(image)
    assert [one.device for one in loops.sweep().released] == [str(device)]


def test_a_name_too_long_for_the_kernels_note_does_not_hide_an_orphan(world: World, loops: Loops) -> None:
    """No file can be called a name of 250 bytes with " (deleted)" behind it, so that one of that name is deleted."""
    image = world.image()
    image = image.rename(image.with_name("n" * 250))
    device = loops.attach_kept(image)
    assert reasons(loops.sweep(dry_run=True)) == {str(device): "image exists"}
    image.unlink()
    assert [one.device for one in loops.sweep().released] == [str(device)]
    image = world.image().rename(image)
    foreign = world.attach_foreign(image)
    image.unlink()
    (one,) = loops.release_all(image).released
    assert (one.device, one.found_by, one.freed_bytes > 0) == (f"/dev/loop{foreign}", "path", True)


def test_the_listing_shows_ours_and_strangers_on_the_same_image(world: World, loops: Loops) -> None:
    """list_media tells who made each device of a medium, whether its image is deleted, and how old it is."""
    image = world.image()
    medium = image.name
    with loops.attached(image) as scoped:
        kept = loops.attach_kept(image)
        foreign = world.attach_foreign(image)
        (state,) = loops.list_media()
        made_by = {one.device: one.made_by for one in state.attachments}
        assert made_by == {str(scoped): "scoped", str(kept): "kept", f"/dev/loop{foreign}": "foreign"}
        assert {one.is_deleted for one in state.attachments} == {False}
        owner = {one.device: (one.owner_pid, one.owner_is_alive) for one in state.attachments}
        assert owner[str(scoped)] == (os.getpid(), True)
        assert owner[f"/dev/loop{foreign}"] == (None, None)
        assert [one.medium for one in loops.list_media(medium)] == [medium]
        assert loops.list_media("other") == []
    loops.release_all(medium)
    assert loops.list_media() == []


def test_another_release_that_works_is_waited_for(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """The lock of the host is had for some milliseconds, of another device: this one is not in use for that."""
    image = world.image()
    device = loops.attach_kept(image, writable=True)
    image.unlink()
    lock = world.kernel.lock_detach
    others = [None, None]
    mocker.patch.object(world.kernel, "lock_detach", side_effect=lambda: others.pop() if others else lock())
    assert [one.device for one in loops.sweep().released] == [str(device)]
    assert others == []


def test_who_looks_for_a_moment_is_no_user_in_a_dry_run(world: World, loops: Loops, mocker: MockerFixture) -> None:
    """As a detach waits until a look is over, so does what tells beforehand what it would do."""
    image = world.image()
    device = loops.attach_kept(image)
    image.unlink()
    reader = world.open_elsewhere(device.number)
    mocker.patch.object(Deadline, "pause", side_effect=lambda _: reader.close())
    assert [one.device for one in loops.sweep(dry_run=True).released] == [str(device)]
    assert is_bound(world, device.number, image)
    assert len(loops.sweep().released) == 1
