"""Releases beside somebody who has the device open for a moment: what is reported is what was done."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops import Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.support.media import by_attach_kept, by_losetup, is_bound, new_hash, new_image

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops._kernel import Handle


class ReaderKernel(LinuxKernel):
    """A reader that has a device open from its attach on; the subclasses say when it goes."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._reader: int | None = os.open(device, os.O_RDONLY)

    def leave(self) -> None:
        """Close it."""
        if self._reader is not None:
            os.close(self._reader)
        self._reader = None


class LateKernel(ReaderKernel):
    """The reader goes just before it is disarmed, and the detach takes its time: no open works meanwhile (F35)."""

    def __init__(self, device: str, diskseq: int | None) -> None:
        super().__init__(device)
        self._diskseq = diskseq
        self._is_armed = False
        #: So often sysfs still shows it.
        self._looks = 0

    def clear(self, handle: Handle) -> None:
        """LOOP_CLR_FD."""
        super().clear(handle)
        self._is_armed = True

    def open(self, number: int, *, exclusive: bool = False, writable: bool = False) -> Handle:
        """Refuse the claim that would disarm it."""
        if self._is_armed and exclusive and self._reader is not None:
            self.leave()
            self._looks = 2
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return super().open(number, exclusive=exclusive, writable=writable)

    def is_bound(self, number: int) -> bool:
        """Show it for a while."""
        self._looks = max(0, self._looks - 1)
        return self._looks > 0 or super().is_bound(number)

    def diskseq(self, number: int) -> int | None:
        """Show it for a while."""
        return self._diskseq if self._looks else super().diskseq(number)


def test_a_writable_device_that_goes_late_is_counted(tmp_path: Path) -> None:
    """It was armed by this release, so it is released by it, though another descriptor was the last one."""
    image = new_image(tmp_path)
    device = by_attach_kept(Loops(tmp_path / "run"), image, writable=True)
    report = Loops(tmp_path / "run", LateKernel(device, device.diskseq)).release_all(image)
    assert [one.device for one in report.released] == [device]
    assert not is_bound(device)


class TwoLooksKernel(ReaderKernel):
    """The reader goes before the second look at the host."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self._looks = 0

    def bound_numbers(self) -> list[int]:
        """List them."""
        self._looks += 1
        if self._looks == 2:
            self.leave()
        return super().bound_numbers()


def test_what_it_was_found_by_does_not_change(tmp_path: Path) -> None:
    """By its name alone, also where it goes at the second try only."""
    medium = new_hash()
    device = by_losetup(new_image(tmp_path).rename(tmp_path / f"{medium}.img"))
    report = Loops(tmp_path / "run", TwoLooksKernel(device)).release_all(medium)
    assert [(one.device, one.found_by) for one in report.released] == [(device, "name")]
    assert not is_bound(device)
