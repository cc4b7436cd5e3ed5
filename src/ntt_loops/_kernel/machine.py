"""What a machine has that this library builds on, as facts; what they mean is not judged here."""

from __future__ import annotations

import attrs

#: Programs that are run, or that ``why`` and the documentation name.
TOOLS = ("mount", "umount", "blkid", "partx", "addpart", "sfdisk", "nsenter", "dmsetup", "mdadm")
#: Capabilities by their bit; the first one is what no attach goes without.
CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_SYS_PTRACE": 19, "CAP_DAC_READ_SEARCH": 2, "CAP_MKNOD": 27}
#: So many minor numbers a major has; a loop device takes as many as ``max_part`` makes room for.
MINORS = 1 << 20


@attrs.frozen
class Tool:
    """A program: where it is, None where it is not installed, and what it says of its version."""

    name: str
    path: str | None
    version: str = ""


def _all_tools() -> tuple[Tool, ...]:
    return tuple(Tool(name, f"/usr/bin/{name}", "1.0") for name in TOOLS)


@attrs.frozen
class Machine:
    """A machine; the defaults are those of one that lacks nothing.

    Attributes:
        release: Of the kernel, as uname(2) says it.
        control_errno: What opening /dev/loop-control for writing says; 0 where it can be opened.
        number_limit: How many loop devices there can be.
        capabilities: Those of ``CAPABILITIES`` that this process has.
        has_seccomp_filter: Whether it runs under one.
        has_devtmpfs: Whether nodes come and go in /dev by themselves.
        has_udev: Whether udev runs.
        has_systemd: Whether systemd is the first process.
        drivers: Names of block drivers that are loaded.
        run_dir_fstype: The type of the file system that the ledger folder is or would be on.
        is_in_tmpfiles: Whether some tmpfiles.d makes that folder at boot.
        is_swept: Whether the timer of the examples is enabled, or cron has a sweep.
        tools: The programs.
    """

    release: str = "6.12.0"
    control_errno: int = 0
    number_limit: int = MINORS
    capabilities: frozenset[str] = frozenset(CAPABILITIES)
    has_seccomp_filter: bool = False
    has_devtmpfs: bool = True
    has_udev: bool = True
    has_systemd: bool = True
    drivers: frozenset[str] = frozenset()
    run_dir_fstype: str = "tmpfs"
    is_in_tmpfiles: bool = True
    is_swept: bool = True
    tools: tuple[Tool, ...] = attrs.field(factory=_all_tools)
