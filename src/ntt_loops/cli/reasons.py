"""Why a device stays: a verdict, the facts, and the commands that make it go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import ntt_loops
from ntt_loops.cli.text import age, command_line, count, size
from ntt_loops.cli.who import clause, remedy, works_on_a_mount

if TYPE_CHECKING:
    from ntt_loops import DeviceState, Holder


def verdict(device: str, found: DeviceState | None) -> str:
    """Return one sentence."""
    if found is None:
        return f"{device} is free: nothing is attached to it."
    held = users(found)
    if held:
        more = f", and {count(len(held) - 1, 'other')}" if len(held) > 1 else ""
        return f"{found.device} is in use: {clause(held[0])}{more}."
    if found.is_stuck:
        return f"{found.device} is stuck: the storage of its image does not answer."
    if found.is_armed:
        return f"{found.device} goes with its last user, but nobody who uses it can be seen."
    return f"Nobody uses {found.device}: it can be released."


def users(found: DeviceState) -> list[Holder]:
    """Return the holders, mounts first and the last one first of all; who made a scoped one is its owner."""
    held = [_as_owner(one) if _is_owner(found, one) else one for one in found.holders]
    mounts = [one for one in held if one.kind == "mount"]
    return [*reversed(mounts), *(one for one in held if one.kind != "mount")]


def _is_owner(found: DeviceState, holder: Holder) -> bool:
    return found.made_by == "scoped" and holder.kind == "process" and holder.pid == found.owner_pid


def _as_owner(holder: Holder) -> Holder:
    return ntt_loops.Holder(holder.device, "owner", holder.pid, holder.command, holder.where, holder.hint)


def facts(found: DeviceState) -> list[tuple[str, str]]:
    """Return what is known of it, as names and values."""
    there = {None: "it cannot be told whether it is there", True: "deleted", False: ""}[found.is_deleted]
    mode = {None: "", True: ", read-only", False: ", writable"}[found.read_only]
    return [
        ("image", f"{found.image}{f' ({there})' if there else ''}"),
        ("medium", found.medium or "none that is known"),
        ("made", _made(found)),
        ("since", _since(found)),
        ("size", f"{size(found.size_bytes)}{mode}"),
        ("goes", _goes(found)),
    ]


def _made(found: DeviceState) -> str:
    if found.made_by == "foreign":
        return "by losetup, mount or another program, not by ntt_loops"
    what = "to be kept" if found.made_by == "kept" else "for a 'with' block, a run or a mount"
    if found.owner_pid is None:
        return f"by ntt_loops {what}"
    lives = {None: "", True: ", which is running", False: ", which has ended"}[found.owner_is_alive]
    return f"by ntt_loops {what}, by pid {found.owner_pid}{lives}"


def _since(found: DeviceState) -> str:
    if found.age_seconds is None:
        return "not on record"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - found.age_seconds))
    return f"{began}, {age(found.age_seconds)} ago"


def _goes(found: DeviceState) -> str:
    if found.is_armed is None:
        return "unknown"
    if found.is_armed:
        return "by itself with its last user (the kernel's AUTOCLEAR is set)"
    return "when it is released, not before"


def commands(found: DeviceState) -> list[tuple[str, str]]:
    """Return the commands that make it go, in their order, each with a remark."""
    lines: dict[str, str] = {}
    for one in sorted(users(found), key=works_on_a_mount, reverse=True):
        words = remedy(one)
        if words is None:
            continue
        command = command_line(words)
        lines[command] = f"{one.command}; or wait for it" if one.kind in ("process", "owner") else ""
    if not (found.is_armed and lines):
        lines[command_line(["ntt-loops", "release", found.device])] = ""
    return list(lines.items())


def rescue(found: DeviceState) -> str | None:
    """Return the command that copies its image back, where that is deleted."""
    if not found.is_deleted or found.is_stuck:
        return None
    return command_line(["ntt-loops", "rescue", found.device, f"{found.image}.rescued"])
