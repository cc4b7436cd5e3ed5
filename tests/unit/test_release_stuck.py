"""A release asks storage that did not answer again, while it has time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._backoff import CLOCK
from ntt_loops._kernel import StuckError
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ntt_loops._kernel import LoopStatus


class PassingClock:
    """A clock on which time passes only for who waits."""

    def __init__(self) -> None:
        """Begin."""
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return its time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds


class AskedKernel(MemoryKernel):
    """Notes how long each question for a status may take; the server comes back before one of them."""

    def __init__(self, server: Path, clock: PassingClock, *, comes_back_at: int = 0) -> None:
        """Answer from that question on, never if it is 0."""
        super().__init__()
        self._clock = clock
        self.asked: list[float] = []
        self._server = server
        self._comes_back_at = comes_back_at

    def status_of(self, number: int, *, within: float | None = None) -> tuple[LoopStatus, int | None]:
        """Note it, and answer or not."""
        if within is not None:
            self.asked.append(within)
            if len(self.asked) == self._comes_back_at:
                self.unhang(self._server)
        try:
            return super().status_of(number, within=within)
        except StuckError:
            self._clock.sleep(within or 0)
            raise


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The folder of a server."""
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


def stuck(tmp_path: Path, server: Path, clock: PassingClock, **how: Any) -> tuple[AskedKernel, Loops]:
    """Attach an image of the server, which then does not answer."""
    image = server / "disk-12.img"
    image.write_bytes(bytes(4096))
    kernel = AskedKernel(server, clock, **how)
    loops = Loops(tmp_path / "run", kernel)
    loops.attach_kept(image)
    kernel.hang(server)
    return kernel, loops


def test_a_server_that_comes_back_in_time_has_its_device_released(
    tmp_path: Path, server: Path, clock: PassingClock
) -> None:
    """Asked again, each time for twice as long, it answers, and the device is released as any other."""
    kernel, loops = stuck(tmp_path, server, clock, comes_back_at=3)
    report = loops.release_all("disk-12", timeout=60)
    assert len(report.released) == 1
    assert kernel.bound_numbers() == []
    assert kernel.asked == [1, 2, 4]


@pytest.mark.parametrize(("timeout", "asked"), [(0, [0.25]), (1, [0.5]), (10, [1, 2, 3.5])])
def test_a_server_that_stays_away_is_asked_a_few_times(
    tmp_path: Path, server: Path, clock: PassingClock, timeout: float, asked: list[float]
) -> None:
    """Never for more than half of what is left: each question leaves a process behind until the server answers."""
    kernel, loops = stuck(tmp_path, server, clock)
    begun = clock.now
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all("disk-12", timeout=timeout)
    assert [one.kind for one in caught.value.holders] == ["stuck"]
    assert kernel.asked == pytest.approx(asked, abs=0.1)
    assert clock.now - begun == pytest.approx(max(timeout, 0.25), abs=0.1)


def test_the_devices_of_others_are_asked_once(tmp_path: Path, server: Path, clock: PassingClock) -> None:
    """Nobody waits for what is not theirs."""
    kernel, loops = stuck(tmp_path, server, clock)
    image = tmp_path / "disk-13.img"
    image.write_bytes(bytes(4096))
    loops.attach_kept(image)
    assert len(loops.release_all("disk-13", timeout=60).released) == 1
    assert len(kernel.asked) == 1
