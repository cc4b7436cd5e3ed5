"""Who works on a file system, told by the paths and the mounts of each process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import mountinfo, processes, users

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture


def test_mounts_of_our_namespace_are_told_from_our_root(tmp_path: Path, mocker: MockerFixture) -> None:
    """A process of our namespace with another root - ours may be a chroot - tells its mounts from that one."""
    own, rdev = processes.namespace("self", "mnt"), os.makedev(259, 1)

    def devices(pid: int) -> dict[bytes, int | None]:
        is_here = pid == os.getpid()
        return {b"": None, os.fsencode(tmp_path) if is_here else b"/elsewhere": rdev}

    mocker.patch.object(mountinfo, "devices_by_point", side_effect=devices)
    mocker.patch.object(processes, "pids", return_value=[os.getppid(), os.getpid()])
    mocker.patch.object(processes, "namespace", return_value=own)
    with (tmp_path / "open").open("wb"):
        found = users.of_file_systems(frozenset({rdev}))
    assert [(one.pid, one.path) for one in found if one.pid == os.getpid()] == [
        (os.getpid(), os.fsencode(tmp_path / "open"))
    ]
