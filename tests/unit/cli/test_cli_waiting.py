"""For whom a verb is kept waiting, in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops import attach_kept
from ntt_loops.cli import waiting
from ntt_loops.testing import in_memory

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_waits_for_himself(tmp_path: Path) -> None:
    """The claim that a release has on the device in that moment is no other user's."""
    image = tmp_path / "a.img"
    image.write_bytes(bytes(4096))
    with in_memory() as kernel:
        device = attach_kept(image)
        own = kernel.open_elsewhere(device.number, pid=os.getpid(), command="ntt-loops")
        assert waiting._for_whom(lambda: [str(device)]) == ""
        other = kernel.open_elsewhere(device.number, pid=4711, command="dd")
        assert waiting._for_whom(lambda: [str(device)]) == f"pid 4711 (dd), which has {device} open"
        own.close()
        other.close()
