"""Why no loop device could be had, in words that say what to do."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import TYPE_CHECKING

from ntt_loops._kernel import NoNodeError
from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops.errors import AttachError, LoopPermissionError, LoopUnavailableError

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel, Surroundings

_NO_MODULE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_EXHAUSTED = (errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
#: So many users of the pool are named in a message.
_SHOWN = 5


def attach_error(error: OSError, kernel: Kernel, medium: str, image: str) -> AttachError:
    """Return what an errno of loop-control, of a node or of LOOP_CONFIGURE means."""
    number = error.errno or errno.EIO
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
    kind: type[AttachError] = AttachError
    if number in _NO_PERMISSION:
        kind = LoopPermissionError
        reason = f"{error.strerror}{where}: {_who_refuses(kernel.surroundings(), is_ioctl=not where)}"
    elif number == errno.ENOSYS:
        kind = LoopUnavailableError
        reason = f"{error.strerror}{where}: {_who_refuses(kernel.surroundings(), is_ioctl=True)}"
    elif isinstance(error, NoNodeError):
        kind = LoopUnavailableError
        reason = f"{error.strerror}; in a container, pass in the host's /dev, or allow mknod (CAP_MKNOD)"
    elif number in _NO_MODULE:
        kind = LoopUnavailableError
        reason = f"{error.strerror}{where}: {_what_is_missing(kernel.surroundings())}"
    elif number in _EXHAUSTED:
        kind = LoopUnavailableError
        reason = f"{error.strerror}; {_who_uses_the_pool(kernel)}"
    elif number in (errno.ENOTTY, errno.EINVAL):
        reason = (
            f"{error.strerror}: the kernel is older than Linux 5.8, or does not take this sector size or file system"
        )
    else:
        reason = error.strerror or str(error)
    return kind(f"{image} (medium {medium}) was not attached: {reason}", medium=medium, image=image, errno=number)


def _who_refuses(around: Surroundings, *, is_ioctl: bool) -> str:
    """Return who it is, as far as this process can tell, and what it takes."""
    missing = "" if around.has_sys_admin else "this process has no CAP_SYS_ADMIN; "
    if is_ioctl and around.has_seccomp_filter:
        return f"{missing}it runs under a seccomp filter, which has to let the loop ioctls through"
    takes = "it takes root, or CAP_SYS_ADMIN and access to /dev/loop-control"
    if is_ioctl:
        return f"{missing}{takes}"
    return f"{missing}{takes} and the nodes; in a container its device rules have to allow them"


def _what_is_missing(around: Surroundings) -> str:
    if around.has_module:
        return "the module is loaded, so only the node is missing; in a container, /dev/loop-control must be passed in"
    return "load the module (modprobe loop), on the host if this is a container"


def no_free_device(kernel: Kernel, medium: str, image: str, number: int) -> LoopUnavailableError:
    """Return the error of an attach that found no device until its deadline."""
    if number == errno.ENOENT:
        message = (
            f"{image} (medium {medium}) was not attached: a loop device is free, but there is no node for it in /dev; "
            "in a container, pass in the host's /dev or mknod the nodes from /sys/block/loop*/dev"
        )
        return LoopUnavailableError(message, medium=medium, image=image, errno=number)
    message = (
        f"{image} (medium {medium}) was not attached: every number that was tried was refused until the deadline, "
        f"last with {errno.errorcode.get(number, number)} ({os.strerror(number)}); {_who_uses_the_pool(kernel)}"
    )
    return LoopUnavailableError(message, medium=medium, image=image, errno=number)


def _who_uses_the_pool(kernel: Kernel) -> str:
    try:
        seen = [bound for number in kernel.bound_numbers() if (bound := kernel.look(number)) is not None]
    except OSError:  # this process has no descriptor left, say: that is in the message already
        return "who uses the others cannot be told"
    deleted = sum(bound.backing_file.endswith(DELETED_SUFFIX) for bound in seen)
    users = Counter(os.path.dirname(bound.backing_file) for bound in seen).most_common(_SHOWN)
    below = ", ".join(f"{count} below {os.fsdecode(folder) or 'an unknown folder'}" for folder, count in users)
    return (
        f"{len(seen)} loop devices are bound{f' ({below})' if below else ''}, {deleted} of them to deleted images; "
        "a sweep frees those that nobody uses: ntt_loops.sweep(system=True, dry_run=True) shows them"
    )
