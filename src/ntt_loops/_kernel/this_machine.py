"""Looking at this machine: /proc, /sys, /dev, and the files that say what is done at boot and by the clock."""

from __future__ import annotations

import contextlib
import os
import shutil
from glob import glob

from ntt_loops._kernel import commands, mountinfo, processes, sysfs
from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops._kernel.machine import CAPABILITIES, MINORS, TOOLS, Machine, Tool

#: Where root's PATH, and so ours, need not lead.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_TMPFILES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/lib/tmpfiles.d")
_TIMERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
_CRONTABS = (
    "/etc/crontab",
    "/etc/cron.d/*",
    "/etc/cron.hourly/*",
    "/etc/cron.daily/*",
    "/var/spool/cron/crontabs/root",
)
_VERSION_SECONDS = 5.0


def look(run_dir: bytes, control: str) -> Machine:
    """Look once."""
    return Machine(
        release=os.uname().release,
        control_errno=_errno_of_opening(control),
        number_limit=number_limit(),
        capabilities=_capabilities(),
        has_seccomp_filter=processes.surroundings().has_seccomp_filter,
        has_devtmpfs=_fstype(b"/dev") == "devtmpfs",
        has_udev=os.path.exists("/run/udev/control"),
        has_systemd=os.path.isdir("/run/systemd/system"),
        drivers=_block_drivers(),
        run_dir_fstype=_fstype(run_dir),
        is_in_tmpfiles=_is_in_tmpfiles(os.fsdecode(run_dir)),
        is_swept=_is_swept(),
        tools=tuple(map(_tool, TOOLS)),
    )


def number_limit() -> int:
    """Return how many loop devices there can be: with ``max_part`` each takes several minors, a power of two."""
    max_part = sysfs.read_number("/sys/module/loop/parameters/max_part") or 0
    return MINORS >> max_part.bit_length()


def _errno_of_opening(path: str) -> int:
    try:
        open_descriptor(path, os.O_RDWR).close()
    except OSError as error:
        return error.errno or 0
    return 0


def _capabilities() -> frozenset[str]:
    effective = processes.effective_capabilities()
    return frozenset(name for name, bit in CAPABILITIES.items() if effective & 1 << bit)


def _block_drivers() -> frozenset[str]:
    with open("/proc/devices", encoding="utf-8") as table:
        _, _, block = table.read().partition("Block devices:")
    return frozenset(line.split()[-1] for line in block.splitlines() if line)


def _fstype(path: bytes) -> str:
    """Return the type of what a path lies on, or would; no path is touched."""
    mount = mountinfo.mount_of(path, mountinfo.by_point(mountinfo.read("self")))
    return "" if mount is None else mount.fstype


def _is_in_tmpfiles(run_dir: str) -> bool:
    lines = (line.split() for folder in _TMPFILES for line in _lines(f"{folder}/*.conf"))
    return any(words[0][0] in "dD" and words[1].rstrip("/") == run_dir for words in lines if len(words) > 1)


def _is_swept() -> bool:
    if any(glob(f"{folder}/timers.target.wants/ntt-loops-sweep.timer") for folder in _TIMERS):
        return True
    lines = (line for pattern in _CRONTABS for line in _lines(pattern))
    return any("ntt-loops sweep" in line and not line.lstrip().startswith("#") for line in lines)


def _lines(pattern: str) -> list[str]:
    found: list[str] = []
    for path in sorted(glob(pattern)):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            found += file.read().splitlines()
    return found


def _tool(name: str) -> Tool:
    path = shutil.which(name) or shutil.which(name, path=_SBIN)
    return Tool(name, path, "" if path is None else commands.version(path, within=_VERSION_SECONDS))
