"""What a release has unmounted may go a moment later, when nobody tries it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops import Loops
from ntt_loops._attachment import Detached, Outcome
from ntt_loops._medium.attempt import Attempt
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


def test_a_device_that_goes_after_its_umount_was_released_by_that_call(tmp_path: Path, mocker: MockerFixture) -> None:
    """Somebody looks at a mounted device just then, so that it goes between two tries: it is told as released."""
    kernel = MemoryKernel()
    loops, image = Loops(tmp_path / "run", kernel), tmp_path / "disk-12.img"
    image.write_bytes(bytes(4096))
    attachment = loops.attached(image)
    device = attachment.__enter__()
    kernel.mount(device.number, tmp_path / "point")
    attachment.hand_over()
    scanner = kernel.open_elsewhere(device.number)

    def is_busy_until_it_looks_away(*_: object) -> Detached:
        scanner.close()
        return Detached(Outcome.BUSY)

    mocker.patch.object(Attempt, "detach", side_effect=is_busy_until_it_looks_away)
    report = loops.release_all("disk-12", unmount=True)
    assert kernel.bound_numbers() == []
    assert [one.device for one in report.released] == [str(device)]
    assert report.already_gone == ()
