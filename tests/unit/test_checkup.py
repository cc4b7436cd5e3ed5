"""What is made of a machine's facts; and the trial, on the kernel in memory."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import attrs
import pytest

from ntt_loops import Loops
from ntt_loops._checkup.tool_checks import PURPOSES
from ntt_loops._kernel import mountinfo, this_machine
from ntt_loops._kernel.machine import CAPABILITIES, TOOLS, Machine, Tool
from ntt_loops.testing import MemoryKernel

ALL = {*CAPABILITIES}


@pytest.fixture
def kernel() -> MemoryKernel:
    """A machine that lacks nothing."""
    return MemoryKernel()


@pytest.fixture
def loops(kernel: MemoryKernel, tmp_path: Path) -> Loops:
    """The library on it."""
    return Loops(tmp_path / "run", kernel)


def without(name: str) -> tuple[Tool, ...]:
    """Return all tools but one."""
    return tuple(attrs.evolve(tool, path=None) if tool.name == name else tool for tool in Machine().tools)


def test_a_machine_that_lacks_nothing(kernel: MemoryKernel, loops: Loops) -> None:
    """Everything is ok, nothing is advised, and nothing is left of the trial."""
    report = loops.check_machine()
    assert {one.status for one in report.checks} == {"ok"}
    assert {one.advice for one in report.checks} == {""}
    assert report.keeps_promises
    names = [one.name for one in report.checks]
    assert names[:5] == ["kernel", "loop-control", "numbers", "privileges", "nodes"]
    assert names[-3:] == ["attach", "partitions", "release"]
    assert len(set(names)) == len(names)
    assert kernel.bound_numbers() == []
    assert list(Path(tempfile.gettempdir()).glob("ntt-loops-doctor-*")) == []


@pytest.mark.parametrize(
    ("facts", "name", "expected"),
    [
        ({"release": "5.4.0-1-amd64"}, "kernel", ("failed", "Linux 5.8")),
        ({"release": "5.10.0"}, "kernel", ("warning", "Linux 5.15")),
        ({"control_errno": errno.ENOENT}, "loop-control", ("failed", "modprobe loop")),
        ({"control_errno": errno.EPERM}, "loop-control", ("failed", "run as root")),
        ({"capabilities": frozenset()}, "privileges", ("failed", "run as root")),
        ({"capabilities": frozenset(ALL - {"CAP_SYS_PTRACE"})}, "privileges", ("warning", "CAP_SYS_PTRACE, to see")),
        ({"has_devtmpfs": False}, "nodes", ("ok", "")),
        ({"has_devtmpfs": False, "capabilities": frozenset(ALL - {"CAP_MKNOD"})}, "nodes", ("failed", "mknod")),
        ({"run_dir_fstype": "ext4"}, "run_dir", ("warning", "tmpfs")),
        ({"is_in_tmpfiles": False}, "tmpfiles", ("warning", "ntt-loops.conf")),
        ({"is_in_tmpfiles": False, "has_systemd": False}, "tmpfiles", ("ok", "")),
        ({"is_swept": False}, "timer", ("warning", "ntt-loops-sweep.timer")),
        ({"is_swept": False, "has_systemd": False}, "timer", ("warning", "cron")),
        ({"has_udev": False}, "udev", ("ok", "")),
        *(({"tools": without(name)}, name, ("failed", "package")) for name in ("mount", "umount", "blkid", "partx")),
        *(({"tools": without(name)}, name, ("warning", "package")) for name in ("addpart", "sfdisk", "nsenter")),
        ({"tools": without("dmsetup")}, "dmsetup", ("ok", "")),
        (
            {"tools": without("dmsetup"), "drivers": frozenset(["device-mapper"])},
            "dmsetup",
            ("warning", "package dmsetup"),
        ),
        ({"tools": without("mdadm"), "drivers": frozenset(["md"])}, "mdadm", ("warning", "package mdadm")),
    ],
)
def test_what_is_lacking_is_told_with_what_to_do(
    kernel: MemoryKernel, loops: Loops, facts: dict[str, Any], name: str, expected: tuple[str, str]
) -> None:
    """That check alone; the others stay ok."""
    kernel.machine_has(**facts)
    report = loops.check_machine()
    (found,) = [one for one in report.checks if one.name == name]
    status, advice = expected
    assert (found.status, advice in found.advice) == (status, True)
    assert report.keeps_promises == (status != "failed")
    others = {one.status for one in report.checks if one.name not in (name, "privileges")}
    assert others == {"ok"}


def test_every_tool_has_a_purpose() -> None:
    """Whoever adds one says what for."""
    assert list(PURPOSES) == list(TOOLS)


def test_scarce_numbers_are_told(tmp_path: Path) -> None:
    """Nine of nine bound: a warning, and the attach that fails says why."""
    kernel = MemoryKernel(devices=9, max_devices=9)
    loops = Loops(tmp_path / "run", kernel)
    (tmp_path / "a.img").write_bytes(bytes(4096))
    for _ in range(9):
        kernel.attach_foreign(tmp_path / "a.img")
    checks = {one.name: one for one in loops.check_machine(timeout=0).checks}
    assert checks["numbers"].found.startswith("9 of 9 loop devices")
    assert checks["numbers"].status == "warning"
    assert {checks[name].status for name in ("attach", "release")} == {"failed"}
    assert "9 loop devices are bound" in checks["attach"].found
    assert "partitions" not in checks


def test_a_table_that_nobody_reads_is_told(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the kernel nor partx(8)."""
    monkeypatch.setattr(MemoryKernel, "partition_table", lambda *_, **__: [])
    checks = {one.name: one for one in loops.check_machine().checks}
    assert (checks["partitions"].status, checks["attach"].status) == ("failed", "ok")


def test_a_ledger_folder_of_others_is_told(loops: Loops, tmp_path: Path) -> None:
    """As is what cannot be done because of it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    checks = {one.name: one for one in loops.check_machine().checks}
    assert "can be written by others" in checks["run_dir"].found
    assert "chmod 0700" in checks["run_dir"].advice
    assert checks["attach"].status == "failed"


def test_a_ledger_folder_that_may_hang_is_told(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may wait for a server."""
    monkeypatch.setattr(MemoryKernel, "may_hang", lambda _, paths: [True for _ in paths])
    checks = {one.name: one for one in loops.check_machine().checks}
    assert (checks["run_dir"].status, "may never answer" in checks["run_dir"].found) == ("failed", True)


@pytest.mark.parametrize(
    ("line", "is_in"),
    [
        ("d /run/ntt-loops 0700 root root -", True),
        ("D! /run/ntt-loops/ - - - -", True),
        ("# d /run/ntt-loops 0700 root root -", False),
        ("d /run/ntt-loops-other 0700 root root -", False),
        ("d", False),
    ],
)
def test_tmpfiles_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, is_in: bool) -> None:
    """A line that makes the very folder, in any file there."""
    monkeypatch.setattr(this_machine, "_TMPFILES", (str(tmp_path),))
    (tmp_path / "x.conf").write_text(f"\n{line}\n", encoding="utf-8")
    assert this_machine._is_in_tmpfiles("/run/ntt-loops") == is_in


@pytest.mark.parametrize(
    ("file", "text", "is_swept"),
    [
        ("timers.target.wants/ntt-loops-sweep.timer", "", True),
        ("ntt-loops-sweep.timer", "", False),
        ("crontab", "7 * * * * root /usr/local/bin/ntt-loops sweep\n", True),
        ("crontab", "# 7 * * * * root ntt-loops sweep\n", False),
    ],
)
def test_a_sweep_by_the_clock_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, *, is_swept: bool
) -> None:
    """A timer that is enabled, or a line of cron."""
    monkeypatch.setattr(this_machine, "_TIMERS", (str(tmp_path),))
    monkeypatch.setattr(this_machine, "_CRONTABS", (str(tmp_path / "cron*"),))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert this_machine._is_swept() == is_swept


def test_no_mount_is_no_file_system() -> None:
    """Of a path that nothing is mounted above nothing is known."""
    assert mountinfo.mount_of(b"/run", {}) is None
    monkey = mountinfo.Line(1, b"/", "ext4", b"/dev/sda1", 1)
    assert mountinfo.mount_of(b"/run", mountinfo.by_point([monkey])) == monkey
