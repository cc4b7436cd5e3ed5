"""A rescue: what is refused, the copy, the proof that it was one attachment all along, and the name at the end."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Holder, Identity, find_holders
from ntt_loops._rescue.copying import READINGS, Copying
from ntt_loops._rescue.new_file import NewFile
from ntt_loops._rescue.source import Source, find_source
from ntt_loops._rescue.values import RescueReport
from ntt_loops.errors import RescueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Handle, Kernel
    from ntt_loops._ledger import Ledger

#: What a file system says that is full, or that takes no file so large.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@attrs.frozen
class Request:
    """What is asked for.

    Attributes:
        number: The device.
        identity: The attachment that is meant, where the caller was handed one.
        file: Where to, absolute.
        part: Whether a part of the image is wanted, too.
        progress: Told how many bytes were read, and of how many.
    """

    number: int
    identity: Identity | None
    file: str
    part: bool
    progress: Callable[[int, int], object] | None


def rescue(kernel: Kernel, ledger: Ledger, request: Request, deadline: Deadline) -> RescueReport:
    """Copy it. See ``Loops.rescue`` for what it raises."""
    _check_file(request)
    source = find_source(kernel, ledger, request.number, request.file, deadline)
    _check_source(source, request)
    with contextlib.closing(kernel.open(source.number)) as handle:  # held: nothing else gets the number meanwhile
        copying, digest = _copy(source, handle, request)
    return RescueReport(
        device=source.node,
        image=source.image,
        file=Path(request.file),
        size_bytes=source.size_bytes,
        hole_bytes=copying.hole_bytes,
        sha256=digest,
        lost=source.lost,
        holders=_who_may_write(source),
    )


def _check_file(request: Request) -> None:
    folder = os.path.dirname(request.file)
    if os.path.lexists(request.file):
        message = f"{request.file} is there already, and nothing is ever written over: name another file"
        raise RescueError(message, file=request.file, errno=errno.EEXIST)
    if not os.path.isdir(folder):
        message = f"there is no folder {folder} for {os.path.basename(request.file)}: make it first"
        raise RescueError(message, file=request.file, errno=errno.ENOENT)


def _check_source(source: Source, request: Request) -> None:
    if request.identity is not None and not request.identity.is_bound(source.kernel):
        raise _changed_hands(source)
    if source.is_part and not request.part:
        lacks = " and ".join(f"{one.start_bytes} to {one.end_bytes or 'its end'}" for one in source.lost)
        reason = f"it shows a part only, without bytes {lacks}; --part (in Python part=True) copies what is there"
        raise source.error(reason, errno.ERANGE)
    own = {source.kernel.rdev(source.number), *(one.rdev for one in source.kernel.partitions(source.number))}
    if os.stat(os.path.dirname(source.file)).st_dev in own:
        raise source.error(f"{source.file} would lie on what is mounted from it", errno.EINVAL)


def _copy(source: Source, handle: Handle, request: Request) -> tuple[Copying, str]:
    target = NewFile(source.file)
    copying = Copying(source, handle, target, _advance(source, request))
    with _told(source), target, target:
        _prove(source, handle)
        target.open()
        digest = copying.run()
        _prove(source, handle)
        target.publish()
    return copying, digest


def _prove(source: Source, handle: Handle) -> None:
    if not source.is_open_at(handle):
        raise _changed_hands(source)


def _changed_hands(source: Source) -> RescueError:
    return source.error("it is another attachment by now", errno.ESTALE)


@contextlib.contextmanager
def _told(source: Source) -> Iterator[None]:
    """Say what an error of the copy's file system means."""
    try:
        yield
    except RescueError:
        raise
    except FileExistsError as error:
        raise source.error(f"{source.file} has come to be meanwhile; name another file", errno.EEXIST) from error
    except OSError as error:
        hint = ": free some room, or name a file elsewhere" if error.errno in _NO_ROOM else ""
        reason = f"{os.path.dirname(source.file)} does not take it, {error.strerror}{hint}"
        raise source.error(reason, error.errno or errno.EIO) from error


def _advance(source: Source, request: Request) -> Callable[[int], object]:
    """Return what is told of each reading, and tells the caller of all."""
    total, done = READINGS * source.size_bytes, 0

    def advance(read_bytes: int) -> None:
        nonlocal done
        done += read_bytes
        if request.progress is not None:
            request.progress(done, total)

    return advance


def _who_may_write(source: Source) -> tuple[Holder, ...]:
    return () if source.status.read_only else tuple(find_holders(source.kernel, source.number))
