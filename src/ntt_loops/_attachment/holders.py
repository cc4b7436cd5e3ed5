"""Who keeps a device busy, and what lets it go."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import attrs

from ntt_loops._plain import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ntt_loops._kernel import Kernel, Mount, Opener, Process

Kind = Literal[
    "mount",
    "process",
    "owner",
    "swap",
    "dm",
    "md",
    "loop",
    "stacked",
    "detaching",
    "no-node",
    "stuck",
    "failed",
    "unknown",
]


@attrs.frozen
class Holder:
    """One holder of a device.

    Attributes:
        device: The node it holds: the device or one of its partitions.
        kind: ``mount``, ``process``, ``owner`` (the process whose ``with`` block it is), ``swap``, ``dm``, ``md``,
            ``loop`` (a loop device on top of this one), ``stacked`` (another driver), ``detaching`` (somebody's detach
            is under way), ``no-node`` (nothing in /dev to open it by), ``stuck`` (its storage does not answer),
            ``failed`` (the kernel refused for another reason) or ``unknown``.
        pid: The process; of a mount, one that lives in its mount namespace; else None.
        command: That process's command name.
        where: The mount point, the path it was opened by, or the name of what is stacked on it.
        hint: What to do; where one command frees it, that command.
    """

    device: str
    kind: Kind
    pid: int | None
    command: str
    where: str
    hint: str

    def __str__(self) -> str:
        process = f" by {self.command or 'process'} (pid {self.pid})" if self.pid is not None else ""
        where = f" at {self.where!r}" if self.where else ""
        return f"{self.device}: {self.kind}{where}{process}; {self.hint}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def find_holders(kernel: Kernel, number: int) -> list[Holder]:
    """Return all that can be seen to hold a device or one of its partitions.

    It takes a look at every process and every mount namespace; root sees all of them.
    """
    return find_holders_of(kernel, [number])[number]


def find_holders_of(kernel: Kernel, numbers: Iterable[int]) -> dict[int, list[Holder]]:
    """Return the holders of several devices, by number, by one look at the processes and namespaces."""
    found: dict[int, list[Holder]] = {number: [] for number in numbers}
    nodes = {rdev: node for number in found for rdev, node in _nodes(kernel, number)}
    rdevs = frozenset(nodes)
    if not found:
        return found
    for mount in (one for one in kernel.mounts() if one.rdev in rdevs):
        found[nodes[mount.rdev].number].append(_of_mount(mount, nodes[mount.rdev].path))
    for rdev, path in (one for one in kernel.swaps() if one[0] in rdevs):
        found[nodes[rdev].number].append(_of_swap(path, nodes[rdev].path))
    for number, holders in found.items():
        holders += [_of_stacked(kernel, number, name, own) for name, own in kernel.sysfs_holders(number)]
    for other, rdev in kernel.loops_on(rdevs):
        found[nodes[rdev].number].append(_of_loop(kernel, other, nodes[rdev].path))
    for opener in kernel.openers(rdevs):
        found[nodes[opener.rdev].number].append(_of_opener(opener, nodes[opener.rdev].path, "has it open: close it"))
    is_mounted = any(one.kind == "mount" for holders in found.values() for one in holders)
    for user in kernel.users(rdevs) if is_mounted else ():
        found[nodes[user.rdev].number].append(_of_opener(user, nodes[user.rdev].path, "works there: leave the folder"))
    return found


class _Node(NamedTuple):
    """A node of a device or of one of its partitions."""

    number: int
    path: str


def _nodes(kernel: Kernel, number: int) -> Iterator[tuple[int, _Node]]:
    """Yield the nodes of a device and its partitions by device number."""
    rdev = kernel.rdev(number)
    if rdev is not None:
        yield rdev, _Node(number, kernel.node(number))
    for one in kernel.partitions(number):
        yield one.rdev, _Node(number, kernel.node(number, one.number))


def _of_mount(mount: Mount, node: str) -> Holder:
    point = os.fsdecode(mount.mount_point)
    command = f"umount {shlex.quote(point)}"
    if mount.is_ours:
        return Holder(node, "mount", None, "", point, command)
    return Holder(node, "mount", mount.pid, mount.command, point, f"nsenter -t {mount.pid} -m {command}")


def _of_swap(path: bytes, node: str) -> Holder:
    where = os.fsdecode(path)
    return Holder(node, "swap", None, "", where, f"swapoff {shlex.quote(where)}")


def _of_stacked(kernel: Kernel, number: int, name: str, own_name: str) -> Holder:
    node = kernel.node(number)
    if name.startswith("dm-"):
        return Holder(node, "dm", None, "", own_name, f"dmsetup remove {shlex.quote(own_name)}")
    if name.startswith("md"):
        return Holder(node, "md", None, "", own_name, f"mdadm --stop /dev/{name}")
    return Holder(node, "stacked", None, "", own_name, f"stop /dev/{name}")


def _of_loop(kernel: Kernel, other: int, node: str) -> Holder:
    above = kernel.node(other)
    return Holder(node, "loop", None, "", above, f"losetup -d {above}")


def _of_opener(opener: Opener, node: str, what: str) -> Holder:
    is_this = opener.pid == os.getpid()
    hint = f"this very process {what}" if is_this else f"wait for it, or kill {opener.pid}"
    return Holder(node, "process", opener.pid, opener.command, os.fsdecode(opener.path), hint)


def owner_holder(kernel: Kernel, number: int, owner: Process) -> Holder:
    """Return the holder that stands for the living owner of a scoped device."""
    node = kernel.node(number)
    hint = f"its 'with' block has not ended: wait for it, or stop it with kill {owner.pid}"
    return Holder(node, "owner", owner.pid, kernel.command(owner.pid), "", hint)


_WITHOUT_A_PROCESS: dict[Kind, str] = {
    "detaching": "somebody's detach is under way: try again",
    "no-node": "its node or loop-control is missing in /dev: pass it in, or release it where /dev is whole",
    "stuck": "its storage does not answer: bring the server back, or unmount it",
    "failed": "the kernel refused: see what dmesg says of it",
    "unknown": "nobody can be seen: perhaps a mount namespace without a process, or udev; try again",
}


def other_holder(kernel: Kernel, number: int, kind: Kind, where: str = "") -> Holder:
    """Return a holder that no process stands for."""
    return Holder(kernel.node(number), kind, None, "", where, _WITHOUT_A_PROCESS[kind])


def say(holders: Iterable[Holder]) -> str:
    """Return the holders as part of a message."""
    return "; ".join(map(str, holders))
