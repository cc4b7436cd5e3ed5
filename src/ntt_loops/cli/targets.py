"""What an argument means: a device, an image, or a medium."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ntt_loops

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops import DeviceState

_DEVICE = re.compile(r"/dev/loop\d+(?:p\d+)?", re.ASCII)
#: As people write hashes; longer is a whole id, and so is anything else.
_PREFIX = re.compile(r"[0-9a-fA-F]{8,15}")


class Target(NamedTuple):
    """An argument, understood: one of the three is not None."""

    text: str
    device: str | None = None
    image: Path | None = None
    medium: str | None = None

    def of(self, devices: Iterable[DeviceState]) -> list[DeviceState]:
        """Return the devices that it stands for."""
        if self.device is not None:
            name = os.path.basename(self.device)  # a node of our own may stand for the one in /dev
            return [one for one in devices if os.path.basename(one.device) == name]
        if self.image is not None:
            paths = {self.image.absolute(), Path(os.path.realpath(self.image))}
            return [one for one in devices if one.image in paths]
        return [one for one in devices if one.medium == self.medium]


def target(text: str) -> Target:
    """Tell what an argument names: a loop device, a file that exists, else a path, a prefix, or an id.

    Raises:
        ntt_loops.MediumError: As a prefix it stands for no medium with something attached, or for several.
    """
    device = device_of(text)
    if device is not None:
        return Target(text, device=device)
    if "/" in text or _is_file(text):
        return Target(text, image=Path(text))
    return Target(text, medium=_whole_id(text))


def devices_of(found: Target) -> list[str]:
    """Return the devices that an argument stands for, as they are now."""
    return [one.device for one in found.of(ntt_loops.list_devices())]


def device_of(text: str) -> str | None:
    """Return the node of a loop device or a partition of one, also where another node or a symlink leads to it."""
    if _DEVICE.fullmatch(text):
        return text
    try:
        found = os.stat(text)
    except (OSError, ValueError):
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    in_sysfs = f"/sys/dev/block/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    node = f"/dev/{os.path.basename(os.path.realpath(in_sysfs))}"
    return node if _DEVICE.fullmatch(node) else None


def _is_file(text: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(text).st_mode)
    except (OSError, ValueError):
        return False


def _whole_id(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        return text
    media = sorted({one.medium for one in ntt_loops.list_devices() if one.medium is not None})
    found = [text] if text in media else [one for one in media if one.lower().startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"{text} is the beginning of {len(found)} media, write more of it: {', '.join(found)}"
    else:
        attached = f"attached are {', '.join(media)}" if media else "no medium has anything attached"
        message = f"no medium whose id begins with {text} has anything attached; {attached}"
    raise ntt_loops.MediumError(message, medium=text)
