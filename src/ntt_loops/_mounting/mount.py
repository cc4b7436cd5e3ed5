"""mount(8), believed only when mountinfo was asked, and taken back where it was interrupted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._backoff import Deadline
from ntt_loops._kernel import StuckError
from ntt_loops._mounting.leaving import Leaving
from ntt_loops._mounting.options import attempts, options_for
from ntt_loops._unmounting import find_mount, unmount_point
from ntt_loops.errors import MountError, MountTimeoutError

if TYPE_CHECKING:
    from ntt_loops._mounting.source import Source

#: What was mounted although its program was killed must be unmounted; that gets this long in any case.
_TAKE_BACK_SECONDS = 5.0


def mount(source: Source, point: bytes, fstype: str, deadline: Deadline) -> str:
    """Mount read-only, without a replay, and return the file system that it was mounted as.

    Args:
        source: What to mount.
        point: An empty folder's path without symlinks.
        fstype: What blkid(8) said; "" where it said nothing.
        deadline: When the program is killed.

    Raises:
        MountError: It was not mounted; with mount(8)'s own text.
        MountTimeoutError: mount(8) was killed; what it had mounted is unmounted.
    """
    texts: list[str] = []
    for one in attempts(fstype):
        try:
            _mount(source, point, one, deadline)
        except StuckError as error:
            raise _stuck(source, point, error) from error
        except OSError as error:
            texts.append(error.strerror or str(error))
            continue
        found = find_mount(source.kernel, source.rdev, point)
        if found is not None:
            return found.fstype
        texts.append("mount(8) said nothing, but it is not mounted")
    text = "\n".join(dict.fromkeys(texts))
    message = f"{source.node} was not mounted at {os.fsdecode(point)}: {text}"
    raise MountError(message, device=source.node, partition=source.node, text=text)


def _mount(source: Source, point: bytes, fstype: str, deadline: Deadline) -> None:
    taking_back = Leaving(lambda: unmount_point(source.kernel, source.number, source.rdev, point, _time_for(deadline)))
    try:
        source.kernel.mount_node(
            source.usable_node, point, fstype=fstype, options=options_for(fstype), within=deadline.remaining
        )
    except BaseException as error:
        taking_back.after(error)
        raise


def _time_for(deadline: Deadline) -> Deadline:
    return Deadline.after(max(_TAKE_BACK_SECONDS, deadline.remaining), deadline.clock)


def _stuck(source: Source, point: bytes, error: StuckError) -> MountTimeoutError:
    left = "; ".join(getattr(error, "__notes__", [])) or "nothing is left mounted"
    text = f"{error}, so it was killed; {left}"
    message = f"{source.node} was not mounted at {os.fsdecode(point)}: {text}"
    return MountTimeoutError(message, device=source.node, partition=source.node, text=text)
