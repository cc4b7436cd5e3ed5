"""Storage that does not answer and that only another mount namespace can see: every call comes back all the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import oracle
from tests.support.forked import forks
from tests.support.kernels import FencedKernel
from tests.support.media import new_image
from tests.support.served import stuck_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT = 60.0
#: By then a call with that deadline is over, or it never will be.
NEVER_SECONDS = 120.0


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _release(loops: Loops, medium: str) -> list[str]:
    return [one.device for one in loops.release_all(medium, timeout=TIMEOUT).released]


def _sweep(loops: Loops) -> list[str]:
    return [one.device for one in loops.sweep(system=True, timeout=TIMEOUT).released]


def _make(call: Callable[[], list[str]], _: object) -> list[str]:
    return call()


def _come_back_while_stuck_elsewhere(loops: Loops, folder: Path, *, is_hidden: bool) -> None:
    """Release and sweep while a server of another mount namespace is stuck, its path hidden by a file here or not."""
    images = [new_image(folder) for _ in range(2)]
    released, swept = (str(loops.attach_kept(image)) for image in images)
    images[1].unlink()
    if (folder / "run" / "lost").exists():
        (folder / "run" / "lost").rename(folder / "run" / f"{images[0].stem}.jsonl")
    calls: list[Callable[[], list[str]]] = [partial(_release, loops, images[0].stem), partial(_sweep, loops)]
    with stuck_elsewhere(folder) as stuck, forks() as start:
        if is_hidden:
            (folder / "shown-elsewhere" / "f").touch()
        found = [start(partial(_make, call)).hear(NEVER_SECONDS) for call in calls]
        assert found == [[released], [swept]]
        assert oracle.is_bound(stuck)


def test_a_server_that_only_another_namespace_sees(loops: Loops, tmp_path: Path) -> None:
    """With a stuck server that is mounted in another namespace only, a release and a sweep come back all the same."""
    _come_back_while_stuck_elsewhere(loops, tmp_path, is_hidden=False)


def test_a_server_of_another_namespace_whose_path_leads_elsewhere_here(loops: Loops, tmp_path: Path) -> None:
    """The same where a local file has, in this namespace, the path that the stuck image has in the other one."""
    _come_back_while_stuck_elsewhere(loops, tmp_path, is_hidden=True)


def test_a_ledger_made_anew_while_a_server_of_another_namespace_is_stuck(loops: Loops, tmp_path: Path) -> None:
    """The same where the ledger must be made anew from the tags of what is bound."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "lost").write_bytes(b"no ledger\n")
    (tmp_path / "run" / "lost").chmod(0o600)
    _come_back_while_stuck_elsewhere(loops, tmp_path, is_hidden=False)
