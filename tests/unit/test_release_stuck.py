"""A release asks storage that did not answer again, while it has time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._backoff import CLOCK
from ntt_loops._kernel import StuckError
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ntt_loops._kernel import LoopStatus


class PassingClock:
    """A clock on which time passes only for who waits."""

    def __init__(self) -> None:
        """Begin."""
        self.now = 1000.0
        #: What happens meanwhile, each at its time.
        self.events: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        """Return its time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds
        due = [event for event in self.events if event[0] <= self.now]
        for event in due:
            self.events.remove(event)
            event[1]()


class AskedKernel(MemoryKernel):
    """Notes how long each question for a status may take."""

    def __init__(self, clock: PassingClock, *, diskseq: bool) -> None:
        """Take the clock, on which a question that is not answered takes its time."""
        super().__init__(diskseq=diskseq)
        self.clock = clock
        self.asked: list[float] = []

    def status_of(self, number: int, *, within: float | None = None) -> tuple[LoopStatus, int | None]:
        """Note it, and answer or not."""
        if within is not None:
            self.asked.append(within)
        try:
            return super().status_of(number, within=within)
        except StuckError:
            self.clock.sleep(within or 0)
            raise

    def file_id(self, path: bytes, *, within: float | None = None) -> tuple[int, int]:
        """Take as long as that takes."""
        try:
            return super().file_id(path, within=within)
        except StuckError:
            self.clock.sleep(within or 0)
            raise


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a server, below the current one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> Iterator[PassingClock]:
    """What the library's calls go by."""
    clock = PassingClock()
    token = CLOCK.set(clock)
    yield clock
    CLOCK.reset(token)


@pytest.fixture(params=[True, False], ids=["with diskseq", "without"])
def kernel(request: pytest.FixtureRequest, clock: PassingClock) -> AskedKernel:
    """The kernel; without a diskseq - before Linux 5.15 - it must be asked otherwise which attachment that is."""
    return AskedKernel(clock, diskseq=request.param)


@pytest.fixture
def loops(tmp_path: Path, kernel: AskedKernel) -> Loops:
    """The library."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(server: Path, kernel: AskedKernel, loops: Loops) -> Path:
    """An image of the server, kept attached; the server does not answer."""
    image = new_image(server, 12)
    loops.attach_kept(image)
    kernel.hang(server)
    return image


def new_image(folder: Path, number: int) -> Path:
    """Make an image."""
    image = folder / f"disk-{number}.img"
    image.write_bytes(bytes(4096))
    return image


@pytest.mark.parametrize("target", ["disk-12", "server/disk-12.img"])
@pytest.mark.parametrize("seconds", [1.5, 14.6, 40.0, 58.5])
@pytest.mark.usefixtures("image")
def test_a_server_that_comes_back_in_time_has_its_device_released(
    server: Path, kernel: AskedKernel, loops: Loops, seconds: float, target: str
) -> None:
    """Asked again it answers, and the device is released as any other; the file is asked for again, too."""
    kernel.clock.events.append((kernel.clock.now + seconds, lambda: kernel.unhang(server)))
    report = loops.release_all(target, timeout=60)
    assert (len(report.released), report.left) == (1, ())
    assert kernel.bound_numbers() == []


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    ("timeout", "asked"), [(0, [0.25]), (1, [0.5]), (10, [1, 1, 1, 0.5]), (60, [1, 1, 1, 1, 1, 1, 0.5])]
)
def test_a_server_that_stays_away_is_asked_a_few_times(
    kernel: AskedKernel, loops: Loops, clock: PassingClock, timeout: float, asked: list[float]
) -> None:
    """Not all the time: each question may leave a process behind until the server answers."""
    begun = clock.now
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all("disk-12", timeout=timeout)
    assert [one.kind for one in caught.value.holders] == ["stuck"]
    assert kernel.asked == pytest.approx(asked, abs=0.2)
    assert clock.now - begun == pytest.approx(max(timeout, 0.25), abs=0.1)


def test_a_file_that_stays_away_is_an_error_by_the_deadline(image: Path, loops: Loops, clock: PassingClock) -> None:
    """Its path alone does not tell which device is its."""
    begun = clock.now
    with pytest.raises(DeviceBusyError):
        loops.release_all(image, timeout=10)
    assert clock.now - begun == pytest.approx(10, abs=0.5)


@pytest.mark.usefixtures("image")
def test_the_devices_of_others_are_asked_once(tmp_path: Path, kernel: AskedKernel, loops: Loops) -> None:
    """Nobody waits for what is not theirs."""
    loops.attach_kept(new_image(tmp_path, 13))
    assert len(loops.release_all("disk-13", timeout=60).released) == 1
    assert len(kernel.asked) == 1


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("seconds", [7.6, 20.0, 35.0])
def test_what_is_stuck_does_not_hold_up_the_rest(
    tmp_path: Path, kernel: AskedKernel, loops: Loops, clock: PassingClock, seconds: float
) -> None:
    """Another device of the medium is released once its reader has let go, not when the server is asked next."""
    device = loops.attach_kept(new_image(tmp_path, 13), medium="disk-12")
    reader = kernel.open(device.number)
    moment = clock.now + seconds
    clock.events += [(moment, reader.close), (moment + 2, lambda: found.extend(kernel.bound_numbers()))]
    found: list[int] = []
    with pytest.raises(DeviceBusyError):
        loops.release_all("disk-12", timeout=40)
    assert len(found) == 1


def test_who_holds_a_device_that_is_stuck_is_told(kernel: AskedKernel, loops: Loops, server: Path) -> None:
    """Without a diskseq too, where its storage is asked whether it is still that device."""
    device = loops.attach_kept(new_image(server, 12))
    reader = kernel.open(device.number)
    kernel.hang(server)
    assert [one.pid for one in loops.holders(device)] == [os.getpid()]
    reader.close()
    assert loops.holders(device) == []
