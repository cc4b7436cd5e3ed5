"""One release between another's steps: whatever the order, the device that stays is not left armed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.support.holding import reader
from tests.support.media import autoclear, by_attach_kept, by_losetup, is_bound, new_image

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._kernel import Handle

#: A step that the library does not make any more is not waited for longer. Where the machine is slower than that, the
#: two releases are only less interleaved, and what is asserted holds all the same.
STEP_SECONDS = 0.3


class Steps:
    """What the two releases have done by now."""

    def __init__(self) -> None:
        self.first_has_armed = Event()
        self.second_has_looked = Event()
        self.first_has_ended = Event()


class FirstKernel(LinuxKernel):
    """Once it has cleared the device, it lets the second release look at it before it goes on."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps
        self._has_cleared = False

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD."""
        super().clear(handle)
        self._has_cleared = True

    def is_bound(self, number: int) -> bool:
        """Let the second one go on, where the device was cleared."""
        if self._has_cleared:
            self._steps.first_has_armed.set()
            self._steps.second_has_looked.wait(STEP_SECONDS)
        return super().is_bound(number)


class SecondKernel(LinuxKernel):
    """Having looked at the device under its claim, it lets the first release end before it goes on."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD, after the other release."""
        self._steps.second_has_looked.set()
        self._steps.first_has_ended.wait(STEP_SECONDS)
        super().clear(handle)


def _release_first(loops: Loops, image: Path, steps: Steps) -> None:
    try:
        with pytest.raises(DeviceBusyError):
            loops.release_all(image, timeout=0)
    finally:
        steps.first_has_ended.set()


def _release_second(loops: Loops, image: Path, steps: Steps) -> None:
    steps.first_has_armed.wait(STEP_SECONDS)
    with pytest.raises(DeviceBusyError):
        loops.release_all(image, timeout=0)


@pytest.mark.parametrize("made_by", ["attach_kept", "losetup"])
@pytest.mark.parametrize("options", [["-r"], []])
def test_a_second_release_does_not_take_an_arming_for_the_makers(
    tmp_path: Path, options: list[str], made_by: str
) -> None:
    """A release that meets a device which another release has armed for a moment does not leave it armed."""
    image, run_dir, steps = new_image(tmp_path), tmp_path / "run", Steps()
    if made_by == "losetup":
        device = by_losetup(image, "-P", *options)
    else:
        device = by_attach_kept(Loops(run_dir), image, writable=not options)
    with reader(device), ThreadPoolExecutor(2) as pool:
        first = pool.submit(_release_first, Loops(run_dir, FirstKernel(steps)), image, steps)
        second = pool.submit(_release_second, Loops(run_dir, SecondKernel(steps)), image, steps)
        first.result()
        second.result()
        assert autoclear(device) == "0"
    assert is_bound(device)
    Loops(run_dir).release_all(image)
    assert not is_bound(device)
