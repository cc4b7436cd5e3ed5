"""What the kernel's texts and structures are read as; no kernel is asked."""

from __future__ import annotations

import os

import pytest

from ntt_loops._kernel import abi, ioctls, mountinfo, processes, sysfs
from ntt_loops._kernel.values import Process

LINE = rb"36 35 7:3 /a /mnt/two\040words\011and\134back rw,noatime master:1 shared:2 - ext4 /dev/loop3 rw" + b"\n"


def test_a_mountinfo_line_is_read_with_its_escapes_undone() -> None:
    """Device, mount point, type and source are found, however many optional fields there are."""
    line = mountinfo.parse(LINE)
    assert line == (os.makedev(7, 3), b"/mnt/two words\tand\\back", "ext4", b"/dev/loop3", 36)
    bare = mountinfo.parse(b"1 1 0:5 / / rw - tmpfs none rw\n")
    assert (bare.mount_point, bare.fstype, bare.source) == (b"/", "tmpfs", b"none")


def lines(*mounts: tuple[bytes, str]) -> list[mountinfo.Line]:
    """Return mounts of that point and type."""
    return [mountinfo.Line(1, point, fstype, b"none", 1) for point, fstype in mounts]


@pytest.mark.parametrize(
    ("path", "hangs"),
    [
        (b"/data/a.img", False),
        (b"/data/nfs/a.img", True),
        (b"/data/nfs2/a.img", False),
        (b"/data/nfs/local/a.img", False),
        (b"/over/a.img", True),
        (b"/fuse", True),
        (b"/fuse/x", True),
    ],
)
def test_the_longest_mount_point_decides_whether_a_path_may_hang(path: bytes, hangs: bool) -> None:  # noqa: FBT001
    """The deepest mount counts, by whole names, and of two on one point the later."""
    table = lines(
        (b"/", "ext4"),
        (b"/data/nfs", "nfs4"),
        (b"/data/nfs/local", "xfs"),
        (b"/over", "ext4"),
        (b"/over", "fuse.sshfs"),
        (b"/fuse", "fuseblk"),
    )
    assert mountinfo.may_hang(path, mountinfo.by_point(table)) is hangs


def test_storage_that_is_not_known_may_hang() -> None:
    """An unknown type, or no mount table at all, is not trusted to answer."""
    assert mountinfo.may_hang(b"/x", mountinfo.by_point(lines((b"/", "newfs"))))
    assert mountinfo.may_hang(b"/x", {})


@pytest.mark.parametrize(
    ("name", "number"),
    [("loop0", 0), ("loop10", 10), ("loop", None), ("loop1p1", None), ("loop-control", None), ("sda", None)],
)
def test_only_whole_loop_disks_are_listed(name: str, number: int | None) -> None:
    """A number is read from a disk's whole name, never from a part of it."""
    assert sysfs.loop_number(name) == number


def test_arming_changes_one_flag_and_nothing_else() -> None:
    """with_autoclear keeps offset, limit, name and every other flag."""
    info = abi.LOOP_INFO64.pack(9, 8, 0, 7, 6, 5, 0, 0, 1 | 8, b"name", b"", b"", 0, 0)
    armed = ioctls.with_autoclear(info, on=True)
    assert ioctls.status_of(armed).autoclear
    assert ioctls.with_autoclear(armed, on=False) == info
    status = ioctls.status_of(info)
    assert (status.backing_dev, status.backing_inode, status.offset_bytes, status.size_limit_bytes) == (9, 8, 7, 6)
    assert (status.number, status.name, status.read_only, status.partscan, status.autoclear) == (
        5,
        b"name",
        True,
        True,
        False,
    )


def test_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    """This process is alive, one with another start time is not, one of another namespace cannot be seen."""
    this = processes.current()
    assert processes.is_alive(this) is True
    assert processes.is_alive(Process(this.pid, this.start_ticks + 1, this.pid_namespace)) is False
    assert processes.is_alive(Process(this.pid, this.start_ticks, this.pid_namespace + 1)) is None


def test_a_zombie_is_no_living_owner() -> None:
    """A process that has ended and was not reaped has let go of everything."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    fields = processes._stat(child)
    assert fields is not None
    owner = Process(child, int(fields[processes._START_TICKS]), processes.current().pid_namespace)
    assert processes.is_alive(owner) is False
    os.waitpid(child, 0)


def test_a_character_device_is_no_loop_device() -> None:
    """/dev/vcs and its like share numbers with block devices; only a block device counts."""
    assert processes.block_rdev("/dev/null") is None
    assert processes.block_rdev("/nonexistent") is None
