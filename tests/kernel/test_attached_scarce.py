"""With no descriptors left an attach fails cleanly, and an exit detaches all the same."""

from __future__ import annotations

import contextlib
import os
import resource
from functools import partial
from typing import TYPE_CHECKING

from ntt_loops import Loops, NttLoopsError
from tests.support import oracle
from tests.support.forked import elsewhere
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: More descriptors than any of these calls has open at a time.
ENOUGH = 12


def _with_descriptors_left(count: int, work: Callable[[], object]) -> str:
    """Run a function with so many descriptors to be had; return the error's class, or nothing."""
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    for _ in range(count):
        os.close(taken.pop())
    before = len(os.listdir("/proc/self/fd")) if count else None  # noqa: PTH208 - it opens but one
    try:
        work()
        outcome = ""
    except NttLoopsError as error:
        outcome = type(error).__name__
    after = len(os.listdir("/proc/self/fd")) if count else None  # noqa: PTH208
    assert before == after, "a descriptor was lost"
    return outcome


def _is_free(image: Path) -> bool:
    return not oracle.bound_devices(image)


def _cycle(loops: Loops, image: Path) -> None:
    with loops.attached(image):
        pass


def test_an_attach_fails_cleanly(tmp_path: Path) -> None:
    """With 0, 1, 2... descriptors left an attach is an error of this library's, or works; it leaves nothing."""
    loops = Loops(tmp_path / "run")
    _cycle(loops, new_image(tmp_path))
    outcomes = []
    for count in range(ENOUGH):
        image = new_image(tmp_path)
        outcomes.append(elsewhere(partial(_with_descriptors_left, count, partial(_cycle, loops, image))))
        oracle.wait_until(partial(_is_free, image), "nothing is left")
    assert outcomes[0] != ""
    assert outcomes[-1] == ""


def test_a_kept_attach_fails_cleanly(tmp_path: Path) -> None:
    """The same for attach_kept: what failed is not attached, what did not is on record."""
    loops = Loops(tmp_path / "run")
    for count in range(ENOUGH):
        image = new_image(tmp_path)
        outcome = elsewhere(partial(_with_descriptors_left, count, partial(loops.attach_kept, image)))
        if outcome:  # a listing of somebody else may have it open for a moment
            oracle.wait_until(partial(_is_free, image), "what failed is not attached")
        assert len(oracle.bound_devices(image)) == (outcome == "")
        assert len(loops.release_all(image.stem).released) == (outcome == "")


def _body_that_takes_all(loops: Loops, image: Path) -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    error = ""
    try:
        with loops.attached(image):
            while True:
                os.open("/dev/null", os.O_RDONLY)
    except OSError as caught:
        error = str(caught)
    return error


def test_an_exit_detaches_though_the_body_took_all_descriptors(tmp_path: Path) -> None:
    """A body that runs out of descriptors: its error goes on as it was, and the device is gone."""
    image = new_image(tmp_path)
    error = elsewhere(partial(_body_that_takes_all, Loops(tmp_path / "run"), image))
    assert error == "[Errno 24] Too many open files: '/dev/null'"
    oracle.wait_until(partial(_is_free, image), "nothing is left")
