"""What befalls each medium: what others do with its image, and how one stage fails before it is run again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from unittest import mock

from examples.demo.output import tell
from ntt_loops import DeviceBusyError, attach_kept

if TYPE_CHECKING:
    from examples.demo.machine import Kind, Machine
    from examples.demo.medium import Medium

#: Something that others do; returns what, in words.
Action: TypeAlias = Callable[["Machine", "Medium"], str]
#: Runs a stage, badly.
Fault: TypeAlias = Callable[["Machine", "Medium", Callable[[], str]], str]


@dataclass(frozen=True)
class Story:
    """What befalls a medium.

    Attributes:
        title: The story in a sentence.
        kind: Of the image.
        before: What others do just before a stage.
        failing: The stage that fails.
        fault: How.
        error: What it then raises.
    """

    title: str
    kind: Kind
    before: Mapping[str, tuple[Action, ...]]
    failing: str
    fault: Fault
    error: type[Exception]


def losetup(times: int) -> Action:
    """Let others attach the image; each time it is another device, and none of them is ever detached."""

    def action(machine: Machine, medium: Medium) -> str:
        devices = [machine.losetup(medium.image) for _ in range(times)]
        medium.count.made["losetup"] += times
        return f"losetup -f --show -r -P makes {', '.join(devices)}"

    return action


def keep(_: Machine, medium: Medium) -> str:
    """Let an operator attach it for a later process, which never comes."""
    device = attach_kept(medium.image)
    medium.count.made["kept"] += 1
    return f"attach_kept makes {device} for a later process, which never comes"


def keep_elsewhere(machine: Machine, medium: Medium) -> str:
    """Let a stage with a ledger of its own do the same."""
    device = machine.other_ledger(medium.image.parents[1] / "run-elsewhere").attach_kept(medium.image)
    medium.count.made["kept"] += 1
    return f"attach_kept makes {device} with another ledger folder, as in a container"


def fetch_anew(_: Machine, medium: Medium) -> str:
    """Put a fresh copy in the image's place: devices of the old one are then of a deleted file."""
    copy = medium.image.with_suffix(".copy")
    shutil.copyfile(medium.image, copy)
    copy.replace(medium.image)
    return "the image is fetched anew, and the file that those devices hold is deleted by that"


def fill_disk(_: Machine, __: Medium, stage: Callable[[], str]) -> str:
    """Let the disk be full in the middle of the copy, with the image attached and mounted."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(shutil, "copyfile", side_effect=error):
        return stage()


def hold_open(machine: Machine, medium: Medium, stage: Callable[[], str]) -> str:
    """Let a process keep one more device open meanwhile."""
    device = machine.losetup(medium.image)
    medium.count.made["losetup"] += 1
    tell("others", f"losetup makes {device}, and a process has it open")
    with machine.read_elsewhere(device):
        return stage()


def kill_worker(machine: Machine, medium: Medium, _: Callable[[], str]) -> str:
    """Let a process of its own run the stage, and kill it half-way."""
    medium.mount_point.mkdir(parents=True, exist_ok=True)
    device = machine.kill_worker(medium.image, medium.mount_point)
    medium.count.made["with"] += 1
    message = f"its process was killed by SIGKILL while it had {device} attached and mounted"
    raise ChildProcessError(message)


def confirm_not(_: Machine, __: Medium, stage: Callable[[], str]) -> str:
    """Let the stage succeed, but nobody hear of it."""
    message = f"{stage()}, but the archive did not confirm it in time"
    raise TimeoutError(message)


STORIES = (
    Story(
        title="the disk is full in the middle of the copy",
        kind="plain",
        before={"identify": (losetup(3),), "pack": (losetup(2),)},
        failing="copy",
        fault=fill_disk,
        error=OSError,
    ),
    Story(
        title="a device is in use when it is to be released",
        kind="journal",
        before={"identify": (keep, losetup(1))},
        failing="release",
        fault=hold_open,
        error=DeviceBusyError,
    ),
    Story(
        title="the process that copies is killed; before, the image was replaced by a fresh copy",
        kind="tail",
        before={"identify": (losetup(2), fetch_anew)},
        failing="copy",
        fault=kill_worker,
        error=ChildProcessError,
    ),
    Story(
        title="the image is packed twice",
        kind="plain",
        before={"identify": (keep_elsewhere,), "unlink": (losetup(1),)},
        failing="pack",
        fault=confirm_not,
        error=TimeoutError,
    ),
)
