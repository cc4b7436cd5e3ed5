"""Storage that does not answer: every call comes back, everything else is done, and what is stuck is told as such.

The storage is a FUSE server that SIGSTOP stops. Each call runs in a child process, so that one that hangs does not take
the tests with it; how long one may take is no measurement, only the difference to never.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import DeviceBusyError, LoopDevice, Loops
from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.kernels import FencedKernel
from tests.support.media import by_losetup, new_hash, new_image
from tests.support.served import hidden_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.served import HiddenServer

TIMEOUT = 1.0
#: By then a call with that deadline is over, or it never will be.
NEVER_SECONDS = 120.0
#: For a call that ends by itself, before that.
AMPLE = 60.0
DEVICES = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HiddenServer]:
    """A FUSE server, and devices for its images."""
    with hidden_server(tmp_path, DEVICES) as running:
        yield running


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The ledger folder."""
    return tmp_path / "run"


@pytest.fixture
def loops(tmp_path: Path, run_dir: Path, server: HiddenServer) -> Loops:
    """The library, with that ledger; "the whole host" is what lies below this test's folder."""
    return Loops(run_dir, FencedKernel(tmp_path, nodes=server.nodes))


def _while_stopped(server: HiddenServer, *calls: Callable[[], object]) -> list[Any]:
    """Make the calls, one after the other, while the server does not answer; return their results."""
    with server.stopped(), forks() as start:
        return [start(partial(_make, call)).hear(NEVER_SECONDS) for call in calls]


def _make(call: Callable[[], object], _: object) -> object:
    return call()


def _release(loops: Loops, target: Path | str, timeout: float = TIMEOUT) -> tuple[list[str], list[str]]:
    """Return what was released, and the kinds of the holders where something stayed."""
    try:
        report = loops.release_all(target, timeout=timeout)
    except DeviceBusyError as error:
        return [one.device for one in error.report.released], [one.kind for one in error.holders]
    return [one.device for one in report.released], []


def _sweep(loops: Loops, timeout: float = TIMEOUT, **scope: Any) -> tuple[list[str], dict[str, str]]:
    """Return what was released, and the reason for each one kept."""
    report = loops.sweep(timeout=timeout, **scope)
    return [one.device for one in report.released], {one.device: one.reason for one in report.kept}


def _orphan(loops: Loops, folder: Path) -> str:
    image = new_image(folder)
    device = str(loops.attach_kept(image))
    image.unlink()
    return device


def test_another_medium_is_released(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """With stuck devices on the host, ours and others', another medium is released by its id, and by its path."""
    numbers = [server.attach_foreign(new_image(server.folder))]
    numbers.append(server.attach_kept(run_dir, new_image(server.folder)).number)
    images = [new_image(tmp_path) for _ in range(2)]
    devices = [str(loops.attach_kept(image)) for image in images]
    calls = [partial(_release, loops, images[0].stem, AMPLE), partial(_release, loops, images[1], AMPLE)]
    assert _while_stopped(server, *calls) == [([device], []) for device in devices]
    assert all(map(rawloop.is_bound, numbers))


@pytest.mark.parametrize("by", ["id", "path"])
@pytest.mark.parametrize("made_by", ["attach_kept", "losetup"])
def test_a_stuck_image_is_released_or_told(
    loops: Loops, server: HiddenServer, run_dir: Path, by: str, made_by: str
) -> None:
    """A release of what is stuck ends by its deadline: the device is gone, or told as stuck and unarmed."""
    image = new_image(server.folder).rename(server.folder / f"{new_hash()}.img")
    is_ours = made_by == "attach_kept"
    number = server.attach_kept(run_dir, image).number if is_ours else server.attach_foreign(image)
    target = image if by == "path" else image.stem
    (found,) = _while_stopped(server, partial(_release, loops, target))
    if rawloop.is_bound(number):
        assert found == ([], ["stuck"])
        assert rawloop.sysfs(number, "loop/autoclear") == b"0"
    else:
        assert found == ([str(server.nodes[number])], [])
    oracle.wait_until(lambda: _release(loops, target)[1] == [] and not rawloop.is_bound(number), "it is released")


def test_a_server_that_comes_back_has_its_device_released(loops: Loops, server: HiddenServer, run_dir: Path) -> None:
    """A release that waits asks again: what had not answered in a second is released once it does."""
    image = new_image(server.folder)
    device = str(server.attach_kept(run_dir, image))
    with forks() as start:
        with server.stopped():
            release = start(partial(_make, partial(_release, loops, image.stem, AMPLE)))
            time.sleep(1.5)
        assert release.hear(NEVER_SECONDS) == ([device], [])


def test_what_was_written_to_a_stuck_image_is_not_given_up(loops: Loops, server: HiddenServer, run_dir: Path) -> None:
    """A writable device that cannot be flushed stays, told as stuck; later it is released with what was written."""
    image = new_image(server.folder)
    device = server.attach_kept(run_dir, image, writable=True)
    with rawloop.opened(device, os.O_WRONLY) as descriptor:
        os.pwrite(descriptor, b"W" * 4096, 0)
    assert _while_stopped(server, partial(_release, loops, image.stem)) == [([], ["stuck"])]
    assert rawloop.is_bound(device.number)
    assert rawloop.sysfs(device.number, "loop/autoclear") == b"0"
    oracle.wait_until(lambda: _release(loops, image.stem) == ([str(device)], []), "it is released")
    assert image.read_bytes().startswith(b"W" * 4096 + b"A")


def test_of_a_medium_the_rest_is_released(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """Of a medium with one stuck image, attached writable, the devices of the other image are released."""
    image = new_image(tmp_path)
    stuck = server.attach_kept(run_dir, new_image(server.folder), medium=image.stem, writable=True)
    device = str(loops.attach_kept(image))
    assert _while_stopped(server, partial(_release, loops, image.stem)) == [([device], ["stuck"])]
    assert rawloop.is_bound(stuck.number)


def test_many_stuck_devices_do_not_use_up_the_time(loops: Loops, server: HiddenServer, tmp_path: Path) -> None:
    """With four stuck devices another medium is released, and a sweep takes its orphan."""
    for _ in range(DEVICES):
        server.attach_foreign(new_image(server.folder))
    image = new_image(tmp_path)
    device, swept = str(loops.attach_kept(image)), _orphan(loops, tmp_path)
    release, sweep = partial(_release, loops, image, AMPLE), partial(_sweep, loops, AMPLE, system=True)
    released, found = _while_stopped(server, release, sweep)
    assert released == ([device], [])
    assert found[0] == [swept]


def test_a_sweep_keeps_what_is_stuck(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """A sweep takes the other orphans, of ours and of others, and keeps what is stuck with that reason."""
    living = str(server.attach_kept(run_dir, new_image(server.folder)))
    image, foreign = new_image(server.folder), new_image(tmp_path)
    deleted = str(server.nodes[server.attach_foreign(image)])
    swept = [_orphan(loops, tmp_path), by_losetup(foreign)]
    image.unlink()
    foreign.unlink()
    ((released, kept),) = _while_stopped(server, partial(_sweep, loops, system=True))
    assert sorted(released) == sorted(swept)
    assert kept[deleted] == "storage does not answer"
    assert kept[living] in ("storage does not answer", "image exists")


def test_a_dry_run_and_a_listing_come_back(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """A dry run, the listing and holders() come back while a device is stuck."""
    device = server.attach_kept(run_dir, new_image(server.folder))
    swept = _orphan(loops, tmp_path)
    dry, listed, holders = _while_stopped(
        server,
        partial(_sweep, loops, system=True, dry_run=True),
        lambda: [(state.medium, one.is_stuck) for state in loops.list_media() for one in state.attachments],
        lambda: loops.holders(device),
    )
    assert dry[0] == [swept] == _sweep(loops)[0]
    assert (device.medium, True) in listed
    assert holders == []


def test_a_single_release_comes_back(loops: Loops, server: HiddenServer, run_dir: Path) -> None:
    """release(device) of a stuck one that is writable is DeviceBusyError by its deadline."""

    def release(device: LoopDevice) -> list[str]:
        with pytest.raises(DeviceBusyError) as caught:
            loops.release(device, timeout=TIMEOUT)
        return [one.kind for one in caught.value.holders]

    device = server.attach_kept(run_dir, new_image(server.folder), writable=True)
    assert _while_stopped(server, partial(release, device)) == [["stuck"]]


def test_a_stuck_folder_can_be_named(loops: Loops, server: HiddenServer, tmp_path: Path) -> None:
    """A folder on the stuck server, given as `under`, does not make a sweep hang."""
    device = _orphan(loops, tmp_path)
    ((released, _),) = _while_stopped(server, partial(_sweep, loops, AMPLE, under=server.folder / "below"))
    assert released == [device]


def test_a_device_whose_reader_hangs(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """With a reader that hangs in the kernel on a device, a release of it ends, and so does one of another medium."""
    image, other = new_image(server.folder), new_image(tmp_path)
    device, second = server.attach_kept(run_dir, image), str(loops.attach_kept(other))

    def read() -> None:
        device.path.read_bytes()

    with server.stopped() as start_reader, forks() as start:
        oracle.wait_until(start_reader(read).is_stuck_in_kernel, "the reader hangs")
        found = [start(partial(_make, partial(_release, loops, one))).hear(NEVER_SECONDS) for one in (other, image)]
        assert found[0] == ([second], [])
        assert found[1][0] == []
        assert found[1][1] != []
        assert rawloop.sysfs(device.number, "loop/autoclear") == b"0"
    oracle.wait_until(lambda: _release(loops, image)[1] == [] and not rawloop.is_bound(device.number), "it goes")


def test_a_corrupt_ledger_does_not_make_it_hang(
    loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path
) -> None:
    """A ledger that must be made anew from the tags is, while another device is stuck."""
    server.attach_foreign(new_image(server.folder))
    image = new_image(tmp_path)
    device = str(loops.attach_kept(image))
    (run_dir / f"{image.stem}.jsonl").write_bytes(b"no ledger\n")
    assert _while_stopped(server, partial(_release, loops, image.stem, AMPLE)) == [([device], [])]


def test_no_ledger_stays_locked(loops: Loops, server: HiddenServer, tmp_path: Path, run_dir: Path) -> None:
    """While a release waits for a stuck device its medium's ledger is free: others attach and detach."""
    image, other = new_image(server.folder), new_image(tmp_path)
    server.attach_kept(run_dir, image, writable=True)

    def cycle() -> bool:
        with loops.attached(other, medium=image.stem, timeout=NEVER_SECONDS):
            pass
        return True

    with server.stopped(), forks() as start:
        release = start(partial(_make, partial(_release, loops, image.stem)))
        assert start(partial(_make, cycle)).hear(NEVER_SECONDS)
        assert release.hear(NEVER_SECONDS)[1] == ["stuck"]
