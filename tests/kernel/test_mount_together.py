"""Many workers at once, and killed ones: one device, one mount a partition, and a next call that puts it right."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oracle
from tests.support.disks import make_disk
from tests.support.forked import PATIENCE_SECONDS, forks, together
from tests.support.images import make_image
from tests.support.media import new_hash
from tests.support.mountings import is_clean, mount_points_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import Loops

WORKERS = 20
MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with two partitions."""
    return make_disk(tmp_path / f"{new_hash()}.img", partitions=2)


def _mount(loops: Loops, root: Path, image: Path) -> dict[str, Any]:
    return loops.mount_medium(image, root=root).to_dict()


def _copy(loops: Loops, root: Path, image: Path) -> tuple[bool, int]:
    """Do what a copy worker does; return whether it mounted, and how many mounts it saw."""
    medium = loops.mount_medium(image, root=root)
    seen = [part.mount_point for part in medium.partitions if part.mount_point is not None]
    return medium.is_new, sum(point.is_mount() for point in seen)


def test_a_stampede(loops: Loops, root: Path, disk: Path) -> None:
    """Twenty processes at once: one device, one mount a partition, one that did it, and all are told the same."""
    told = together(*[partial(_mount, loops, root, disk)] * WORKERS)
    (device,) = oracle.bound_devices(disk)
    assert sorted(oracle.mounts_of(device)) == [root / disk.stem / "p1", root / disk.stem / "p2"]
    assert sorted(one.pop("is_new") for one in told) == [False] * (WORKERS - 1) + [True]
    assert all(one == told[0] for one in told)
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_a_stampede_of_a_whole_disk(loops: Loops, root: Path, tmp_path: Path) -> None:
    """So with one file system and no table."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB)
    told = together(*[partial(_copy, loops, root, image)] * WORKERS)
    assert len(oracle.bound_devices(image)) == 1
    assert sorted(told) == [(False, 1)] * (WORKERS - 1) + [(True, 1)]
    loops.unmount_medium(image.stem, root=root)
    assert is_clean(loops, root, image)


def test_mounting_and_unmounting_at_once(loops: Loops, root: Path, disk: Path) -> None:
    """Some mount while others unmount: nobody sees half of a medium, and in the end it is there as a whole or not."""

    def mounting() -> list[int]:
        return [len(loops.mount_medium(disk, root=root, timeout=PATIENCE_SECONDS).partitions) for _ in range(5)]

    def unmounting() -> list[int]:
        for _ in range(5):
            loops.unmount_medium(disk.stem, root=root, timeout=PATIENCE_SECONDS)
            time.sleep(0.01)
        return [2]

    for counts in together(*[mounting] * 4, *[unmounting] * 3):
        assert set(counts) == {2}
    assert len(mount_points_below(root)) in (0, 2)
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_several_media_at_once(loops: Loops, root: Path, tmp_path: Path) -> None:
    """Media do not wait for each other's lock, share the root, and do not mix."""
    images = [make_disk(tmp_path / f"{new_hash()}.img", partitions=2) for _ in range(4)]
    together(*[partial(_mount, loops, root, image) for image in images for _ in range(3)])
    for image in images:
        (device,) = oracle.bound_devices(image)
        assert all(point.is_relative_to(root / image.stem) for point in oracle.mounts_of(device))
        assert len(oracle.mounts_of(device)) == 2
    together(*[partial(_unmount, loops, root, image.stem) for image in images])
    assert all(is_clean(loops, root, image) for image in images)


def _unmount(loops: Loops, root: Path, medium: str) -> None:
    loops.unmount_medium(medium, root=root)


@pytest.mark.parametrize("repair", ["mount", "unmount"])
def test_killed_at_any_moment(loops: Loops, root: Path, disk: Path, repair: str) -> None:
    """A worker that is killed while it mounts, at a moment of chance: the next call puts it right."""
    for step in range(25):
        with forks() as start:
            child = start(lambda _: _mount(loops, root, disk))
            time.sleep(step * 0.002)
            child.kill(signal.SIGKILL)
            child.wait()
        if repair == "mount":
            medium = loops.mount_medium(disk, root=root)
            assert [one.status for one in medium.partitions] == ["ok", "ok"]
            (device,) = oracle.bound_devices(disk)
            assert sorted(oracle.mounts_of(device)) == [root / disk.stem / "p1", root / disk.stem / "p2"]
        loops.unmount_medium(disk.stem, root=root)
        oracle.wait_until(partial(is_clean, loops, root, disk), "all of it is gone")


def test_a_half_finished_mount_is_completed(loops: Loops, root: Path, disk: Path) -> None:
    """One partition is mounted, the other not: the next call adds what is missing, from the same device."""
    first = loops.mount_medium(disk, root=root)
    oracle.run("umount", root / disk.stem / "p1")
    again = loops.mount_medium(disk, root=root)
    assert not again.is_new
    assert again.partitions == first.partitions
    assert again.devices == first.devices
    assert len(mount_points_below(root)) == 2
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)


def test_a_waiting_worker_whose_time_is_up(loops: Loops, root: Path, disk: Path, tmp_path: Path) -> None:
    """While another process mounts, a call waits for it to its deadline and then says so; nothing of it is left."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "mount"
    go_on = tmp_path / "go-on"
    real = '/usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin mount "$@"'
    slow.write_text(f'#!/bin/sh\nuntil [ -e "{go_on}" ]; do sleep 0.05; done\nexec {real}\n')
    slow.chmod(0o755)

    def slowly(_: Callable[[object], None]) -> bool:
        os.environ["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return loops.mount_medium(disk, root=root).is_new

    with forks() as start:
        child = start(slowly)
        oracle.wait_until(lambda: bool(oracle.bound_devices(disk)), "the other one is at work")
        with pytest.raises(TimeoutError, match="another process"):
            loops.mount_medium(disk, root=root, timeout=0.2)
        with pytest.raises(TimeoutError, match="another process"):
            loops.unmount_medium(disk.stem, root=root, timeout=0.2)
        go_on.touch()
        assert child.hear()
    assert not loops.mount_medium(disk, root=root).is_new
    loops.unmount_medium(disk.stem, root=root)
    assert is_clean(loops, root, disk)
