"""P2, P3: clocks that go back, pids that come again, and much of everything: lines, devices, long paths, cycles."""

from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._ledger import contents
from ntt_loops.testing import MemoryKernel
from tests.proof.extent import is_whole
from tests.support import oracle, rawloop
from tests.support.forked import elsewhere
from tests.support.kernels import OwnNumbersKernel, QuickKernel
from tests.support.media import is_bound, new_id, new_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_mock import MockerFixture

    from ntt_loops import LoopDevice

LINES = {"past": 100_000, "stale": 100_000 if is_whole() else 10_000}
DEVICES = 2_000 if is_whole() else 200
CYCLES = 10_000 if is_whole() else 300
WARM_UP_CYCLES = 50
#: Longer than anything here takes on a busy machine.
PATIENT = 600.0
PATH_BYTES = 4_000


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library behind a fence."""
    return Loops(tmp_path / "run", QuickKernel(tmp_path))


@pytest.mark.parametrize("time", [0.0, -5.0, 2.0**40])
def test_the_wall_clock_is_set(loops: Loops, tmp_path: Path, mocker: MockerFixture, time: float) -> None:
    """Whatever the clock said at the attach, the age is that of the attachment, and the ledger can be read."""
    clock = mocker.patch("time.time", return_value=time)
    device = loops.attach_kept(new_image(tmp_path))
    clock.return_value = 1e9
    swept = loops.sweep(kept_older_than=3600.0)
    assert (swept.released, swept.problems) == ((), ())
    [state] = loops.list_media(device.medium)
    age = state.attachments[0].age_seconds
    assert age is not None
    assert 0 <= age < 3600
    report = loops.release_all(device.medium)
    assert [(one.device, one.found_by) for one in report.released] == [(str(device), "ledger")]
    assert report.problems == ()


def test_a_pid_that_came_again_is_another_process(tmp_path: Path) -> None:
    """The process that has a dead owner's pid, and the device open, is a holder like any other, not the owner."""
    kernel = MemoryKernel()
    loops = Loops(tmp_path / "run", kernel)
    image = new_image(tmp_path)
    with kernel.as_process(4711):
        attachment = loops.attached(image)
        number = attachment.__enter__().number
    kernel.mount(number, tmp_path / "mnt")
    kernel.kill(4711)
    handle = kernel.open_elsewhere(number, pid=4711)
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(image.stem, unmount=True, timeout=0)
    assert [(one.kind, one.pid) for one in caught.value.holders] == [("process", 4711)]
    handle.close()
    loops.release_all(image.stem)
    assert attachment.device.number == number  # its process is gone, this object has outlived it
    assert kernel.bound_numbers() == []


def _append(path: Path, lines: list[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(lines)


@pytest.mark.parametrize("kind", list(LINES))
def test_a_ledger_of_100_000_lines(loops: Loops, tmp_path: Path, kind: str, record: Callable[[str, int], None]) -> None:
    """Events of the past, or records of devices that are gone: the living one is released, and the file goes."""
    device = loops.attach_kept(new_image(tmp_path))
    path = tmp_path / "run" / f"{device.medium}.jsonl"
    first = path.read_bytes().splitlines(keepends=True)[1]
    [key] = contents.read(path.read_bytes(), device.medium, loops._world().kernel.boot_id()).entries
    past = [first.replace(key[2].encode(), b"%06x" % number) for number in range(LINES[kind])]
    if kind == "past":
        past = [line for one in past[::2] for line in (one, one.replace(b'"attached"', b'"detached"'))]
    _append(path, past)
    report = loops.release_all(device.medium, timeout=PATIENT)
    assert [one.device for one in report.released] == [str(device)]
    assert len(report.already_gone) == (0 if kind == "past" else LINES[kind])
    assert list((tmp_path / "run").iterdir()) == []
    record(f"lines, {kind}", LINES[kind])


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Loops]:
    """The library on numbers of its own, which are taken away at the end."""
    kernel = OwnNumbersKernel(tmp_path)
    yield Loops(tmp_path / "run", kernel)
    with ThreadPoolExecutor(32) as pool:  # each waits for the kernel's own housekeeping
        list(pool.map(_remove, kernel.made))


def _remove(number: int) -> None:
    with suppress(OSError):  # a test that failed has left devices: the guard tells
        rawloop.remove(number)


def test_thousands_of_devices(many: Loops, tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """One release of a medium finds all of its devices, and no other; a sweep and a listing get through them."""
    image, other = new_image(tmp_path), new_image(tmp_path)
    stays = many.attach_kept(other)
    devices = [many.attach_kept(image, timeout=PATIENT) for _ in range(DEVICES)]
    [state] = many.list_media(image.stem, timeout=PATIENT)
    assert {one.device for one in state.attachments} == set(map(str, devices))
    image.unlink()
    assert len(many.sweep(dry_run=True, timeout=PATIENT).released) == DEVICES
    report = many.release_all(image.stem, timeout=PATIENT)
    assert {one.device for one in report.released} == set(map(str, devices))
    assert report.freed_bytes == devices[0].size_bytes
    assert not any(map(is_bound, devices))
    assert is_bound(stays)
    many.release(stays)
    record("devices", DEVICES)


def _deep(folder: Path, length: int) -> Path:
    """Make a folder whose path has so many bytes, with steps that each fit a file name and a relative path."""
    with chdir(folder):
        while len(os.fsencode(folder)) < length:
            step = "d" * max(1, min(200, length - len(os.fsencode(folder)) - 1))
            Path(step).mkdir()
            os.chdir(step)
            folder = folder / step
    return folder


def _work(loops: Loops, image: Path, release: Callable[[LoopDevice], object]) -> None:
    with loops.attached(image) as device:
        assert is_bound(device)
    assert not is_bound(device)
    kept = loops.attach_kept(image)
    release(kept)
    assert not is_bound(kept)


def test_a_path_of_4_000_bytes(loops: Loops, tmp_path: Path) -> None:
    """It is attached, found by its path and by its id, and swept once it is deleted."""
    name = f"{new_id()}.img"
    image = new_image(tmp_path).rename(_deep(tmp_path, PATH_BYTES - len(name) - 1) / name)
    assert len(os.fsencode(image)) == PATH_BYTES
    _work(loops, image, loops.release)
    _work(loops, image, lambda _: loops.release_all(image))
    _work(loops, image, lambda device: loops.release_all(device.medium))
    kept = loops.attach_kept(image)
    image.unlink()
    assert [one.image for one in loops.sweep().released] == [image]
    assert not is_bound(kept)


def test_a_path_longer_than_any_system_call_takes(tmp_path: Path) -> None:
    """Through a relative path: the kernel does not say the path of such an image (F48), the tag tells whose it is."""
    name = f"{new_id()}.img"
    image = new_image(tmp_path)
    loops = Loops(tmp_path / "run")
    folder = _deep(tmp_path, 3_900)
    with chdir(folder):
        Path("e" * 200).mkdir()
        image.rename(Path("e" * 200, name))
        os.chdir("e" * 200)
        _work(loops, Path(name), loops.release)
        _work(loops, Path(name), lambda device: loops.release_all(device.medium))
        os.unlink(name)  # noqa: PTH108 - below the longest path
    assert oracle.bound_to_path(Path()) == []


def _cycle(run_dir: Path, images: list[Path]) -> tuple[int, int, int]:
    """Attach and let go, again and again; return how many descriptors, kibibytes and blocks of Python came with it."""
    loops = Loops(run_dir, QuickKernel(images[0].parent))

    def one(count: int) -> None:
        image = images[count % len(images)]
        with loops.attached(image, timeout=PATIENT):
            pass
        if count % 10 == 0:
            loops.release(loops.attach_kept(image, timeout=PATIENT), timeout=PATIENT)
            loops.attach_kept(image, timeout=PATIENT)
            loops.release_all(image.stem, timeout=PATIENT)

    for count in range(WARM_UP_CYCLES):
        one(count)
    before = _sizes()
    for count in range(CYCLES):
        one(count)
    return tuple(now - then for now, then in zip(_sizes(), before, strict=True))  # type: ignore[return-value]


def _sizes() -> tuple[int, int, int]:
    gc.collect()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return descriptors, resident_pages * os.sysconf("SC_PAGE_SIZE") // 1024, sys.getallocatedblocks()


def test_nothing_grows(tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """Attach, detach, attach, release: no descriptor, no memory and no file more after any number of cycles."""
    images = [new_image(tmp_path) for _ in range(3)]
    descriptors, kibibytes, blocks = elsewhere(partial(_cycle, tmp_path / "run", images), seconds=PATIENT)
    assert descriptors == 0
    assert kibibytes < 4096  # what the allocator keeps; a leak of 512 bytes a cycle is 5,000
    assert blocks < 200 + CYCLES // 50
    assert list((tmp_path / "run").iterdir()) == []
    assert oracle.bound_below(tmp_path) == []
    record("cycles", CYCLES)
    record("KiB more at their end", kibibytes)
