"""What the library closes in a forked child is its own, and nothing of its caller's."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support.forked import elsewhere
from tests.support.media import new_image

if TYPE_CHECKING:
    from pathlib import Path

FORKS = 400


def _can_be_read(number: int) -> bool:
    try:
        return os.pread(number, 1, 0) == b"A"
    except OSError:
        return False


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12 on: threads and fork() do not go together
def test_a_fork_does_not_close_the_callers_own_files(tmp_path: Path) -> None:
    """A child keeps what its parent itself had open of the image, though another thread was just opening that."""
    loops, image = Loops(tmp_path / "run"), new_image(tmp_path)
    ended = threading.Event()

    def attach_on() -> None:
        while not ended.is_set():
            with loops.attached(image, timeout=60):
                pass

    thread = threading.Thread(target=attach_on)
    with image.open("rb") as ours:
        thread.start()
        try:
            found = [elsewhere(partial(_can_be_read, ours.fileno())) for _ in range(FORKS)]
        finally:
            ended.set()
            thread.join()
    assert found.count(False) == 0
