"""A sweep never takes what is in use, does not wait for it, and says why it was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._medium import attempt
from tests.support import oracle, rawloop
from tests.support.features import require_rundown
from tests.support.forked import forks
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.kernels import FencedKernel
from tests.support.media import autoclear, by_attach_kept, by_losetup, is_bound, new_hash, new_image
from tests.support.rig import mounted, mounted_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import SweepReport


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look of others at a device, which lasts for a moment, make it one that is in use."""
    monkeypatch.setattr(attempt, "PATIENCE_SECONDS", 0.5)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that can be mounted."""
    return make_image(tmp_path / f"{new_hash()}.img")


def _kept(report: SweepReport) -> list[tuple[str, str, list[str]]]:
    return [(one.device, one.reason, [holder.kind for holder in one.holders]) for one in report.kept]


def test_a_mounted_orphan_stays_and_goes_later(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A mounted orphan is kept, unarmed, with the mount named; other orphans go; after the umount it goes, too."""
    other = new_image(tmp_path)
    devices = [by_attach_kept(loops, image), by_losetup(image), by_attach_kept(loops, other)]
    with mounted(devices[0], tmp_path / "mnt", "-o", "ro"):
        image.unlink()
        other.unlink()
        report = loops.sweep(system=True)
        assert _kept(report) == [(devices[0], "in use", ["mount"])]
        assert sorted(one.device for one in report.released) == sorted(devices[1:])
        assert (is_bound(devices[0]), autoclear(devices[0])) == (True, "0")
    assert [one.device for one in loops.sweep(system=True).released] == [devices[0]]


def test_a_still_held_image_gives_no_bytes_back(loops: Loops, image: Path, tmp_path: Path) -> None:
    """While one device of a deleted image stays, the release of the others gives no bytes back."""
    kept = loops.attach_kept(image)
    by_losetup(image)
    with mounted(kept.path, tmp_path / "mnt", "-o", "ro"):
        image.unlink()
        report = loops.sweep(system=True)
        assert (len(report.released), report.freed_bytes) == (1, 0)
    assert loops.sweep(system=True).freed_bytes == 8 * 1024 * 1024


@pytest.mark.parametrize("writable", [False, True])
def test_a_device_that_is_read_stays(loops: Loops, tmp_path: Path, *, writable: bool) -> None:
    """An orphan that a process reads is kept, unarmed, with the process named; ours and others', read-only or not."""
    image = new_image(tmp_path)
    options = [] if writable else ["-r"]
    devices = [by_attach_kept(loops, image, writable=writable), by_losetup(image, *options, "-P")]
    with reader(devices[0]) as first, reader(devices[1]) as second:
        image.unlink()
        kept = {one.device: [holder.pid for holder in one.holders] for one in loops.sweep(system=True).kept}
        assert kept == {devices[0]: [first.pid], devices[1]: [second.pid]}
        assert [autoclear(device) for device in devices] == ["0", "0"]
    assert len(loops.sweep(system=True).released) == 2


def test_a_mount_in_another_namespace_is_found(loops: Loops, image: Path, tmp_path: Path) -> None:
    """An orphan that is mounted in another mount namespace is kept, with a process of that named."""
    device = by_losetup(image)
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(rawloop.node(oracle.device_number(device)), tmp_path / "mnt") as process:
        image.unlink()
        (kept,) = loops.sweep(system=True).kept
        assert [(one.kind, one.pid) for one in kept.holders] == [("mount", process.pid)]
        process.communicate("\n")
    assert len(loops.sweep(system=True).released) == 1


def test_a_block_of_a_living_process_stays(loops: Loops, image: Path) -> None:
    """A with block of a living process whose image is deleted keeps its device, and its owner is named."""

    def hold(say: Callable[[object], None]) -> None:
        with loops.attached(image) as device:
            say(str(device))
            say("still here") if is_bound(device) else None
            while image.with_name("enough").exists() is False:
                pass
            assert is_bound(device)

    with forks() as start:
        child = start(hold)
        device = child.hear()
        image.unlink()
        (kept,) = loops.sweep(system=True).kept
        assert (kept.device, kept.reason, [one.pid for one in kept.holders]) == (device, "owner alive", [child.pid])
        image.with_name("enough").touch()
        assert child.hear() == "still here"
        child.hear()


def test_a_detach_under_way_is_left_to_its_maker(loops: Loops, tmp_path: Path) -> None:
    """An orphan whose detach by others is under way is told so, and not waited for."""
    require_rundown()
    image = new_image(tmp_path)
    with rawloop.attach(image) as loop:
        image.unlink()
        rawloop.clear_as_only_opener(loop.held)
        assert _kept(loops.sweep(system=True)) == [(str(loop.node), "detach under way", [])]
