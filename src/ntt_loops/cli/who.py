"""Holders in words, and the commands that make them go."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ntt_loops import DeviceState, Holder

#: Of these the library's hint is a command.
_WITH_A_COMMAND = ("mount", "swap", "dm", "md")


def who(holder: Holder) -> str:
    """Return who it is, in a word or two: ``dd (pid 4711)``."""
    if holder.kind in ("process", "owner"):
        return f"{holder.command or 'a process'} (pid {holder.pid})"
    if holder.kind == "mount":
        return f"mounted at {holder.where}"
    if holder.kind == "loop":
        return f"{holder.where} on top"
    return f"{holder.kind} {holder.where}".rstrip()


def clause(holder: Holder) -> str:
    """Return the part of a sentence that says what it does."""
    if holder.kind == "mount":
        where = "" if holder.pid is None else f" in the mount namespace of {holder.command} (pid {holder.pid})"
        return f"{holder.device} is mounted at {holder.where}{where}"
    if holder.kind == "process":
        return f"{who(holder)} {_does(holder)}"
    if holder.kind == "owner":
        return f"{holder.device} belongs to a 'with' block or a run of {who(holder)}"
    return _CLAUSES.get(holder.kind, "{0.device} is held by {0.kind} {0.where}").format(holder)


def works_on_a_mount(holder: Holder) -> bool:
    """Whether it is a process that uses what is mounted from the device: until it ends that cannot be unmounted."""
    return holder.kind == "process" and not holder.where.startswith("/dev/")


def _does(holder: Holder) -> str:
    """Return what a process does: it has the device itself open, or works on what is mounted from it."""
    if not works_on_a_mount(holder):
        return f"has {holder.device} open"
    return f"works at {holder.where}, which is mounted from {holder.device}"


_CLAUSES = {
    "swap": "{0.device} is swapped on",
    "dm": "the device mapper has {0.where} on {0.device}",
    "md": "a RAID array has {0.device} as a member ({0.where})",
    "loop": "{0.where} is attached on top of {0.device}",
    "stacked": "{0.where} stands on {0.device}",
    "detaching": "somebody is detaching {0.device} just now",
    "no-node": "{0.device} is missing in /dev",
    "stuck": "the storage behind {0.device} does not answer",
    "failed": "the kernel refused to detach {0.device}",
    "unknown": "{0.device} is held by somebody who cannot be seen",
}


def awaited(holder: Holder) -> str:
    """Return it as what is waited for: ``pid 4711 (dd), which has /dev/loop7 open``."""
    if holder.kind in ("process", "owner"):
        does = _does(holder) if holder.kind == "process" else f"attached {holder.device}"
        return f"pid {holder.pid} ({holder.command}), which {does}"
    if holder.kind == "mount":
        return f"the mount of {holder.device} at {holder.where}"
    return f"{who(holder)} on {holder.device}"


def remedy(holder: Holder) -> list[str] | None:
    """Return the command that makes it go, as words; None where no command does."""
    if holder.kind in _WITH_A_COMMAND:
        return shlex.split(holder.hint)
    if holder.kind == "loop":
        return ["ntt-loops", "release", holder.where]
    if holder.kind in ("process", "owner"):
        return ["kill", str(holder.pid)]
    return None


State = Literal["scoped", "mounted", "kept", "foreign"]


def state(device: DeviceState) -> State:
    """Return how long a device is meant to stay; a scoped one whose maker let it go to its mounts is *mounted*."""
    is_let_go = device.made_by == "scoped" and device.owner_pid is None
    if is_let_go and any(holder.kind == "mount" for holder in device.holders):
        return "mounted"
    return device.made_by
