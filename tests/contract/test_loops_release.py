"""Releasing a whole medium, on every kernel."""

from __future__ import annotations

import errno
import os
import uuid
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops, MediumError
from ntt_loops._kernel import StuckError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops._kernel import Handle
    from tests.support.world import Ability, World

#: No other test run, on the same host at the same time, releases that medium.
HASH = uuid.uuid4().hex


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


@pytest.fixture
def image(world: World) -> Path:
    """An image named by a hash."""
    return world.image().rename(world.folder / f"{HASH}.img")


def is_bound(world: World, number: int, image: Path) -> bool:
    """Whether a number is bound to an image, living or deleted."""
    found = world.kernel.look(number)
    return found is not None and found.backing_file.startswith(os.fsencode(image))


def autoclear(world: World, number: int) -> bool:
    """Whether a device is armed."""
    handle = world.kernel.open(number)
    try:
        return world.kernel.get_status(handle).autoclear
    finally:
        handle.close()


def test_an_id_means_the_whole_medium(world: World, loops: Loops, image: Path) -> None:
    """By an id go: what is on the ledger, foreign devices of the same file, and of a deleted one at its path."""
    kept = loops.attach_kept(image)
    deleted = world.attach_foreign(image)
    image.unlink()
    world.image().rename(image)
    foreign = world.attach_foreign(image)
    report = loops.release_all(HASH)
    found = {one.device: one.found_by for one in report.released}
    assert found[str(kept)] == "ledger"
    assert found[f"/dev/loop{deleted}"] == "inode"
    assert found[f"/dev/loop{foreign}"] in {"name", "path"}
    assert sum(one.freed_bytes > 0 for one in report.released) == 1
    assert loops.release_all(HASH).released == ()


def test_a_path_means_that_file_only(world: World, loops: Loops, image: Path) -> None:
    """By a path goes that file; the same id's device of another file is left, and said so."""
    other = world.folder / "elsewhere"
    other.mkdir()
    namesake = world.image().rename(other / image.name)
    kept, left = loops.attach_kept(image), loops.attach_kept(namesake)
    report = loops.release_all(image)
    assert [one.device for one in report.released] == [str(kept)]
    assert [(one.device, one.image) for one in report.left] == [(str(left), namesake)]
    assert is_bound(world, left.number, namesake)
    assert [one.device for one in loops.release_all(HASH).released] == [str(left)]


def test_a_name_that_only_looks_alike_is_not_the_mediums(world: World, loops: Loops, image: Path) -> None:
    """Neither ID.img.bak nor xID.img, and no name at all where the id is no hash."""
    strangers = [world.image().rename(world.folder / name) for name in (f"{HASH}.img.bak", f"x{HASH}.img", "zip.img")]
    numbers = [world.attach_foreign(one) for one in strangers]
    mine = world.attach_foreign(image)
    assert [one.device for one in loops.release_all(HASH).released] == [f"/dev/loop{mine}"]
    assert loops.release_all("zip").released == ()
    for number, stranger in zip(numbers, strangers, strict=True):
        assert is_bound(world, number, stranger)
        loops.release_all(stranger)


def test_busy_releases_the_others_and_leaves_nothing_armed(world: World, loops: Loops, image: Path) -> None:
    """While one is read by somebody, the others go, the error names him, and AUTOCLEAR is as it was."""
    busy, idle = loops.attach_kept(image), loops.attach_kept(image)
    reader = world.open_elsewhere(busy.number)
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(HASH, timeout=1)
    assert ("process", reader.pid) in [(one.kind, one.pid) for one in caught.value.holders]
    assert [one.device for one in caught.value.report.released] == [str(idle)]
    assert is_bound(world, busy.number, image)
    assert not autoclear(world, busy.number)
    reader.close()
    assert [one.device for one in loops.release_all(HASH).released] == [str(busy)]


def test_an_armed_kept_device_of_ours_is_disarmed(world: World, loops: Loops, image: Path) -> None:
    """A kept device that a killed releaser left armed is disarmed by the next one that finds it busy."""
    device = loops.attach_kept(image)
    reader = world.open_elsewhere(device.number)
    handle = world.open(device.number)
    world.kernel.set_autoclear(handle, on=True)
    handle.close()
    with pytest.raises(DeviceBusyError):
        loops.release_all(HASH, timeout=0.05)
    assert not autoclear(world, device.number)
    reader.close()
    loops.release_all(HASH)


def test_an_armed_foreign_device_stays_armed(world: World, loops: Loops, image: Path) -> None:
    """A foreign device that was armed when it was found busy is armed after."""
    number = world.attach_foreign(image)
    reader = world.open_elsewhere(number)
    handle = world.open(number)
    world.kernel.set_autoclear(handle, on=True)
    handle.close()
    with pytest.raises(DeviceBusyError):
        loops.release_all(HASH, timeout=0.05)
    assert autoclear(world, number)
    reader.close()
    loops.release_all(HASH)
    assert not is_bound(world, number, image)


def test_a_mounted_one_is_left_alone_and_named(world: World, loops: Loops) -> None:
    """A mount keeps its device, unarmed, and is named; unmount=True takes it first."""
    image = world.image(content="ext4")
    device = loops.attach_kept(image, medium=HASH)
    point = world.mount(device.number).point
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(HASH, timeout=0.1)
    assert ("mount", os.fsdecode(point)) in [(one.kind, one.where) for one in caught.value.holders]
    assert not autoclear(world, device.number)
    report = loops.release_all(HASH, unmount=True)
    assert [one.device for one in report.released] == [str(device)]


def test_what_a_living_block_holds_is_busy_and_not_unmounted(world: World, loops: Loops) -> None:
    """A with block's device is its owner's: not claimed, not unmounted, named."""
    image = world.image(content="ext4")
    with loops.attached(image, medium=HASH) as device:
        point = world.mount(device.number).point
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(HASH, unmount=True, timeout=0.05)
        assert [(one.kind, one.pid) for one in caught.value.holders] == [("owner", os.getpid())]
        assert point in {one.mount_point for one in world.kernel.mounts()}
        world.kernel.unmount(point, within=10)
    assert loops.release_all(HASH).released == ()


def test_swap_and_stacked_loops_are_named(world: World, loops: Loops, can: Callable[[Ability], None]) -> None:
    """Swap and a loop device on top each keep a device, and are named with what frees it."""
    can("swap")
    swapped = loops.attach_kept(world.image(content="swap"), medium=f"swapped-{HASH[:8]}")
    world.swap_on(swapped.number)
    below = loops.attach_kept(world.image(), medium=f"below-{HASH[:8]}")
    above = world.stack_loop(below.number)
    for medium, kind, hint in (
        (f"swapped-{HASH[:8]}", "swap", "swapoff"),
        (f"below-{HASH[:8]}", "loop", f"/dev/loop{above}"),
    ):
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(medium, timeout=0.05)
        assert [one.kind for one in caught.value.holders if hint in one.hint] == [kind]
    world.swap_off(swapped.number)
    loops.release_all(f"swapped-{HASH[:8]}")


def test_a_lost_ledger_is_made_up_for_by_the_tags(world: World, loops: Loops, image: Path, tmp_path: Path) -> None:
    """Without its ledger file, and from another ledger folder, a kept device is found by its tag."""
    first = loops.attach_kept(image, medium=f"zip {HASH}")
    for file in (tmp_path / "run").iterdir():
        file.unlink()
    other = Loops(tmp_path / "other", world.kernel)
    second = other.attach_kept(world.image(), medium=f"zip {HASH}")
    report = loops.release_all(f"zip {HASH}")
    assert {one.device: one.found_by for one in report.released} == {str(first): "tag", str(second): "tag"}


@pytest.mark.parametrize("error", [StuckError("stat did not return"), PermissionError(errno.EACCES, "denied")])
def test_a_path_out_of_reach_is_no_success(
    world: World, loops: Loops, image: Path, mocker: MockerFixture, error: OSError
) -> None:
    """A file that cannot be asked which it is may have devices by any path: an error, until it answers again."""
    device = loops.attach_kept(image)
    mocker.patch("ntt_loops._medium.meant._inode", side_effect=error)
    with pytest.raises(DeviceBusyError, match=r"out of reach.*keep the image") as caught:
        loops.release_all(image, timeout=0.1)
    assert caught.value.report.released == ()
    assert caught.value.holders == ()
    assert is_bound(world, device.number, image)
    mocker.stopall()
    assert [one.device for one in loops.release_all(image).released] == [str(device)]


def test_another_mediums_record_of_the_same_file_is_struck(loops: Loops, image: Path) -> None:
    """A device of the file that is on another id's ledger goes by the path, and its record with it."""
    loops.attach_kept(image, medium=f"zip-{HASH[:8]}")
    assert len(loops.release_all(image).released) == 1
    assert loops._world().ledger.media() == []


def test_the_number_of_a_record_may_be_another_image_by_now(world: World, loops: Loops, image: Path) -> None:
    """A record whose device was detached by hand is forgotten, and the number's next owner is not touched."""
    device = loops.attach_kept(image)
    handle = world.open(device.number, exclusive=True)
    world.clear_alone(handle)
    handle.close()
    stranger = world.image()
    numbers = [world.attach_foreign(stranger) for _ in range(3)]
    report = loops.release_all(HASH)
    assert report.released == ()
    assert [one.device for one in report.already_gone] == [str(device)]
    assert all(is_bound(world, number, stranger) for number in numbers)
    loops.release_all(stranger)


def test_a_record_with_a_strangers_number_and_diskseq_is_not_believed(world: World, loops: Loops, image: Path) -> None:
    """A spoilt ledger may name any device: without our tag and the recorded image it is not the record's."""
    medium = f"spoilt-{HASH[:8]}"
    device = loops.attach_kept(image, medium=medium)
    stranger = world.image()
    number = world.attach_foreign(stranger)
    ledger = loops._world().ledger
    path = ledger.run_dir / f"{medium}.jsonl"
    text = path.read_text().replace(f'"number":{device.number},', f'"number":{number},')
    path.write_text(text.replace(f'"diskseq":{device.diskseq},', f'"diskseq":{world.kernel.diskseq(number)},'))
    assert [(one.device, one.found_by) for one in loops.release_all(medium).released] == [(str(device), "tag")]
    assert is_bound(world, number, stranger)
    loops.release_all(stranger)


def test_a_bare_file_name_is_refused(loops: Loops, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A str without a slash that is a file here, and no medium, is an error that says to write ./NAME."""
    monkeypatch.chdir(image.parent)
    with pytest.raises(MediumError, match=rf"\./{image.name}"):
        loops.release_all(image.name)
    assert loops.release_all(f"./{image.name}").released == ()


def test_a_device_that_is_let_go_in_time_is_released(
    world: World, loops: Loops, image: Path, mocker: MockerFixture
) -> None:
    """A reader that goes while the release waits does not make it fail."""
    device = loops.attach_kept(image)
    reader = world.open_elsewhere(device.number)
    real = world.kernel.set_autoclear

    def let_go(handle: Handle, *, on: bool, within: float | None) -> None:
        reader.close()
        real(handle, on=on, within=within)

    mocker.patch.object(world.kernel, "set_autoclear", side_effect=let_go)
    assert [one.device for one in loops.release_all(HASH).released] == [str(device)]
