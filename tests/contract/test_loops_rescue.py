"""Copying a deleted image back, on every kernel: what comes back, what is lost, and what is refused."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ntt_loops import Loops, RescueError

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopDevice, RescueReport
    from tests.support.world import World

DATA = bytes(range(1, 256)) * 1024


@pytest.fixture
def loops(world: World, tmp_path: Path) -> Loops:
    """The library over that world."""
    return Loops(tmp_path / "run", world.kernel)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the image is to come back to; nothing else is in that folder."""
    (tmp_path / "back").mkdir()
    return tmp_path / "back" / "again.img"


def deleted(world: World, loops: Loops, content: bytes, **how: Any) -> LoopDevice:
    """A kept device whose image was deleted."""
    image = world.new_path("image")
    image.write_bytes(content)
    device = loops.attach_kept(image, **how)
    image.unlink()
    return device


def refused(loops: Loops, device: LoopDevice | str, file: Path, number: int, match: str, **how: Any) -> RescueError:
    """Have a rescue refused, with that errno; nothing is left in the folder."""
    with pytest.raises(RescueError, match=match) as caught:
        loops.rescue(device, file, **how)
    assert caught.value.errno == number
    assert caught.value.file == file
    assert [one for one in file.parent.iterdir() if one != file] == []
    return caught.value


def lost(report: RescueReport) -> list[tuple[int, int | None]]:
    """Return the bytes that are not in a copy."""
    return [(one.start_bytes, one.end_bytes) for one in report.lost]


def test_a_deleted_image_comes_back(world: World, loops: Loops, file: Path) -> None:
    """Byte for byte, with holes where it had zeros, for its owner's eyes only; the device stays what it was."""
    content = DATA[:65536] + bytes(10 * 65536) + DATA[:65536]
    device = deleted(world, loops, content)
    before = world.kernel.flags(device.number)
    report = loops.rescue(device, file)
    assert file.read_bytes() == content
    assert report.sha256 == hashlib.sha256(content).hexdigest()
    assert (report.size_bytes, report.hole_bytes, report.lost, report.holders) == (len(content), 10 * 65536, (), ())
    assert (report.device, report.image, report.file) == (str(device), device.image, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_blocks * 512 < len(content) // 2
    assert world.kernel.flags(device.number) == before
    assert list(file.parent.iterdir()) == [file]
    assert [one.device for one in loops.release(device).released] == [str(device)]


def test_the_tail_is_named_as_lost(world: World, loops: Loops, file: Path) -> None:
    """Its place is known from the record; the rest comes back."""
    device = deleted(world, loops, DATA[: 8192 + 300])
    report = loops.rescue(str(device), file)
    assert lost(report) == [(8192, 8492)]
    assert file.read_bytes() == DATA[:8192]
    loops.release(device)


def test_of_somebody_elses_image_the_tail_is_not_known(world: World, loops: Loops, file: Path) -> None:
    """What losetup attached has no record: that there may be a tail is said all the same."""
    image = world.image(size_bytes=4096)
    number = world.attach_foreign(image)
    content = image.read_bytes()
    image.unlink()
    report = loops.rescue(f"/dev/loop{number}", file)
    assert lost(report) == [(4096, None)]
    assert "up to 511 bytes" in report.lost[0].why
    assert file.read_bytes() == content
    loops.release(f"/dev/loop{number}")


@pytest.mark.parametrize(
    ("how", "missing"),
    [
        ({"offset_bytes": 1024}, [(0, 1024)]),
        ({"size_limit_bytes": 2048}, [(2048, 8192)]),
        ({"offset_bytes": 512, "size_limit_bytes": 1000}, [(0, 512), (1024, 8192)]),
    ],
    ids=["offset", "limit", "both"],
)
def test_a_part_is_copied_only_where_a_part_is_wanted(
    world: World, loops: Loops, file: Path, how: dict[str, int], missing: list[tuple[int, int]]
) -> None:
    """Else it would pass for the image."""
    device = deleted(world, loops, DATA[:8192], **how)
    error = refused(loops, device, file, errno.ERANGE, "--part")
    assert all(f"{start} to {end}" in str(error) for start, end in missing)
    report = loops.rescue(device, file, part=True)
    assert lost(report) == missing
    gone = {byte for start, end in missing for byte in range(start, end)}
    assert file.read_bytes() == bytes(DATA[byte] for byte in range(8192) if byte not in gone)
    loops.release(device)


def test_a_limit_that_cuts_nothing_is_no_part(world: World, loops: Loops, file: Path) -> None:
    """The whole image is there."""
    device = deleted(world, loops, DATA[:8192], size_limit_bytes=8192)
    assert loops.rescue(device, file).lost == ()
    loops.release(device)


def test_a_living_image_is_not_rescued(world: World, loops: Loops, file: Path) -> None:
    """It is there, with its tail, and the error says where."""
    device = loops.attach_kept(world.image())
    moved = device.image.rename(world.new_path("moved"))
    error = refused(loops, device, file, errno.EEXIST, "is not deleted")
    assert str(moved) in str(error)
    loops.release(device)


def test_a_free_device_has_nothing(world: World, loops: Loops, file: Path) -> None:
    """Neither has one whose attachment is over; what came after it on its number is not taken for it."""
    number = world.new_number()
    refused(loops, f"/dev/loop{number}", file, errno.ENXIO, "nothing is attached")
    device = deleted(world, loops, DATA[:4096])
    later = attrs.evolve(device, diskseq=(device.diskseq or 0) + 1, nonce="ffffff")
    refused(loops, later, file, errno.ESTALE, "another attachment")
    loops.release(device)


def test_nothing_is_written_over(world: World, loops: Loops, file: Path) -> None:
    """Neither a file, nor what comes to be there while the copy is made, nor where a symlink leads."""
    device = deleted(world, loops, DATA)
    file.write_bytes(b"precious")
    refused(loops, device, file, errno.EEXIST, "is there already")
    file.unlink()
    with pytest.raises(RescueError, match="come to be") as caught:
        loops.rescue(device, file, progress=lambda done, total: done == total and file.write_bytes(b"precious"))
    assert caught.value.errno == errno.EEXIST
    assert file.read_bytes() == b"precious"
    file.unlink()
    file.symlink_to(file.parent / "elsewhere")
    with pytest.raises(RescueError, match="is there already"):
        loops.rescue(device, file)
    assert list(file.parent.iterdir()) == [file]
    loops.release(device)


def test_where_it_is_to_go_must_be_a_folder(world: World, loops: Loops, file: Path) -> None:
    """One that is there."""
    device = deleted(world, loops, DATA)
    with pytest.raises(RescueError, match="make it first") as caught:
        loops.rescue(device, file.parent / "none" / "again.img")
    assert caught.value.errno == errno.ENOENT
    loops.release(device)


@pytest.mark.parametrize(("device", "match"), [("/dev/loop0p1", "is a partition"), ("/dev/sda", "no loop device")])
def test_only_a_whole_loop_device_is_read(loops: Loops, file: Path, device: str, match: str) -> None:
    """A partition is not the image."""
    with pytest.raises(ValueError, match=match):
        loops.rescue(device, file)


def test_progress_is_told_to_the_end(world: World, loops: Loops, file: Path) -> None:
    """Of all three readings, in bytes."""
    told: list[tuple[int, int]] = []
    device = deleted(world, loops, DATA[: 3 * 65536])
    loops.rescue(device, file, progress=lambda done, total: told.append((done, total)))
    assert told == [(count * 65536, 9 * 65536) for count in range(1, 10)]
    loops.release(device)


def test_an_interrupt_leaves_nothing(world: World, loops: Loops, file: Path) -> None:
    """In each of the three readings; and the next rescue works."""
    device = deleted(world, loops, DATA[:65536])
    for reading in (1, 2, 3):

        def interrupt(done: int, total: int, *, reading: int = reading) -> None:
            if done * 3 == total * reading:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loops.rescue(device, file, progress=interrupt)
        assert list(file.parent.iterdir()) == []
    assert loops.rescue(device, file).size_bytes == 65536
    loops.release(device)


def test_a_sweep_tells_what_could_be_rescued(world: World, loops: Loops, file: Path) -> None:
    """A dry run each deleted image once, by the device that shows most of it; a sweep only what it has left."""
    image = world.new_path("image")
    image.write_bytes(DATA[:8192])
    part, whole = loops.attach_kept(image, offset_bytes=512), loops.attach_kept(image)
    image.unlink()
    living = loops.attach_kept(world.image())
    (one,) = loops.sweep(dry_run=True).rescuable
    assert (one.device, one.image, one.size_bytes) == (str(whole), image, 8192)
    holder = world.open_elsewhere(part.number)
    (left,) = loops.sweep().rescuable
    assert (left.device, left.size_bytes) == (str(part), 7680)
    assert loops.rescue(left.device, file, part=True).size_bytes == 7680
    holder.close()
    loops.sweep()
    loops.release(living)
