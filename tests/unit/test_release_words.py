"""What a release that fails says of the umounts that it tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops, MountError, MountTimeoutError
from ntt_loops._medium import release
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


def test_a_try_without_time_does_not_hide_what_umount_said(tmp_path: Path, mocker: MockerFixture) -> None:
    """The last one comes at the deadline, and a slow machine does not end it."""
    image = tmp_path / "disk-12.img"
    image.write_bytes(bytes(4096))
    kernel = MemoryKernel()
    loops = Loops(tmp_path / "run", kernel)
    reader = kernel.open(loops.attach_kept(image).number)
    tries = [[MountError("target is busy")], [MountTimeoutError("umount did not end")]]
    said = mocker.patch.object(release, "unmount_device")
    said.side_effect = lambda *_, **__: (0, tries.pop(0) if len(tries) > 1 else tries[0])
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all("disk-12", unmount=True, timeout=0.2)
    assert said.call_count > 1
    assert caught.value.__notes__ == ["target is busy"]
    reader.close()
