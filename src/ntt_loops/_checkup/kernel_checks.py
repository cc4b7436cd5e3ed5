"""The kernel, its loop driver, and what this process may do with them."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from ntt_loops._checkup.values import judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._checkup.values import Check
    from ntt_loops._kernel.machine import Machine

_CONFIGURE, _DISKSEQ = (5, 8), (5, 15)
#: Fewer free numbers than this part of all is worth a look.
_SCARCE = 10
_NEEDED_FOR = {
    "CAP_SYS_PTRACE": "to see which processes of others hold a device",
    "CAP_DAC_READ_SEARCH": "to tell in closed folders whether an image is there",
    "CAP_MKNOD": "to make nodes that /dev lacks",
}


def kernel_checks(machine: Machine, bound: int | None) -> Iterator[Check]:
    """Yield the checks; ``bound`` is the number of bound devices, None where that cannot be seen."""
    yield _release(machine)
    yield _control(machine)
    yield _numbers(machine, bound)
    yield _privileges(machine)
    yield _nodes(machine)


def _release(machine: Machine) -> Check:
    version = tuple(map(int, re.findall(r"\d+", machine.release)[:2]))
    if version < _CONFIGURE:
        return judged("kernel", f"Linux {machine.release}, without LOOP_CONFIGURE", failed="boot Linux 5.8 or newer")
    if version < _DISKSEQ:
        found = (
            f"Linux {machine.release}: LOOP_CONFIGURE, no diskseq, so that attachments are told apart by image and tag"
        )
        return judged("kernel", found, warning="boot Linux 5.15 or newer, which numbers attachments")
    return judged("kernel", f"Linux {machine.release}: LOOP_CONFIGURE, AUTOCLEAR, diskseq")


def _control(machine: Machine) -> Check:
    number = machine.control_errno
    if number == 0:
        return judged("loop-control", "/dev/loop-control can be opened")
    found = f"/dev/loop-control cannot be opened: {os.strerror(number)}"
    if number in (errno.EACCES, errno.EPERM):
        return judged(
            "loop-control", found, failed="run as root; in a container allow c 10:237 and b 7:* in its device rules"
        )
    return judged("loop-control", found, failed="modprobe loop, on the host; in a container pass in /dev/loop-control")


def _numbers(machine: Machine, bound: int | None) -> Check:
    if bound is None:
        return judged("numbers", "which devices are bound cannot be seen", failed="mount sysfs on /sys")
    found = f"{bound} of {machine.number_limit} loop devices that there can be are bound"
    is_scarce = (machine.number_limit - bound) * _SCARCE < machine.number_limit
    advice = "ntt-loops sweep --system --dry-run shows those that could go; a smaller max_part of the module makes more"
    return judged("numbers", found, warning=advice if is_scarce else "")


def _privileges(machine: Machine) -> Check:
    who = f"uid {os.geteuid()}"
    filtered = ", under a seccomp filter" if machine.has_seccomp_filter else ""
    if "CAP_SYS_ADMIN" not in machine.capabilities:
        return judged(
            "privileges", f"{who} without CAP_SYS_ADMIN{filtered}", failed="run as root: sudo ntt-loops doctor"
        )
    missing = {name: what for name, what in _NEEDED_FOR.items() if name not in machine.capabilities}
    if missing:
        advice = "; ".join(f"give it {name}, {what}" for name, what in missing.items())
        return judged("privileges", f"{who} with CAP_SYS_ADMIN, without {', '.join(missing)}{filtered}", warning=advice)
    return judged("privileges", f"{who}, with all that is needed{filtered}")


def _nodes(machine: Machine) -> Check:
    if machine.has_devtmpfs:
        return judged("nodes", "/dev is a devtmpfs: nodes come and go by themselves")
    advice = "" if "CAP_MKNOD" in machine.capabilities else "pass in the host's /dev, or allow mknod (CAP_MKNOD)"
    return judged("nodes", "/dev is no devtmpfs: nodes that it lacks are made in /dev/ntt-loops", failed=advice)
