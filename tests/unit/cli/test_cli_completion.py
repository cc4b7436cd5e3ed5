"""What a shell completes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.shell_completion import BashComplete

import ntt_loops
from ntt_loops.cli.app import VERBS, app
from tests.unit.cli.conftest import HASH

if TYPE_CHECKING:
    from ntt_loops.testing import MemoryKernel


def completed(*words: str) -> list[tuple[str, str]]:
    """Return kind and value of each completion of the last word."""
    complete = BashComplete(app, {}, "ntt-loops", "_NTT_LOOPS_COMPLETE")
    return [(one.type, one.value) for one in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture(autouse=True)
def attached(kernel: MemoryKernel) -> None:
    """A medium and a device of somebody else."""
    ntt_loops.attach_kept(f"{HASH}.img")
    kernel.attach_foreign("disk-12.img")


def test_verbs_and_options() -> None:
    """All of them, and those that begin so."""
    assert [value for _, value in completed("")] == list(VERBS)
    assert completed("un") == [("plain", "unmount")]
    assert ("plain", "--unmount") in completed("release", "--")


def test_media_devices_and_files() -> None:
    """Each where it makes sense."""
    assert completed("release", "") == [("file", ""), ("plain", HASH), ("plain", "/dev/loop0"), ("plain", "/dev/loop1")]
    assert completed("release", "536") == [("file", "536"), ("plain", HASH)]
    assert completed("unmount", "") == [("file", ""), ("plain", HASH)]
    assert completed("why", "/dev") == [("plain", "/dev/loop0"), ("plain", "/dev/loop1")]
    assert completed("attach", "di") == [("file", "di")]
    assert completed("sweep", "--under", "/da") == [("dir", "/da")]


def test_who_may_not_look_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of a command line would be in the way."""
    monkeypatch.setattr(ntt_loops, "list_devices", forbidden)
    assert completed("why", "") == []


def forbidden(**_: object) -> None:
    """Refuse."""
    raise ntt_loops.LoopPermissionError("no")
