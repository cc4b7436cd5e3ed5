"""P1: no signal at any moment, and no fork at any moment of another thread, loses a descriptor or a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.proof.extent import is_whole
from tests.support import oracle
from tests.support.media import new_image
from tests.support.storms import forked_while, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: A prototype that held descriptors as bare numbers lost 5,845 in 20,000 interrupts.
INTERRUPTS = 20_000 if is_whole() else 150
FORKS = 4_000 if is_whole() else 50
PATIENT = 600.0


def test_interrupts(tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """SIGINT again and again, in attaches and exits."""
    image = new_image(tmp_path)
    assert interrupted(tmp_path / "run", image, times=INTERRUPTS) == 0
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches what was let go")
    record("interrupts in the library", INTERRUPTS)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12 on: threads and fork() do not go together
def test_forks(tmp_path: Path, record: Callable[[str, int], None]) -> None:
    """Whatever another thread is at, a child has no descriptor of it; and no child keeps a device."""
    loops, image = Loops(tmp_path / "run"), new_image(tmp_path)

    def cycle() -> None:
        with loops.attached(image, timeout=PATIENT):
            pass

    assert forked_while(cycle, times=FORKS) == []
    assert not oracle.bound_devices(image)
    record("forks", FORKS)
