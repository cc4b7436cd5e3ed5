"""The bound devices of the host, each with what the kernel says of it.

One listing for a whole call. GET_STATUS64 is asked once for each attachment - what it is asked for never changes while
the diskseq is the same - and where it may hang, in a child process and before any lock is taken (F21).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._kernel import StuckError
from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops._medium.deletion import Deletion, Judged, judge
from ntt_loops._medium.questions import Questions, within
from ntt_loops._medium.seen import Seen
from ntt_loops.errors import LoopPermissionError, LoopUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import BoundDevice, Kernel, LoopStatus

_PROBES_AT_ONCE = 32
#: Errors that are of this process or machine; any other one of GET_STATUS64 is of the storage: ENOTCONN, EIO...
_OUR_OWN = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Survey:
    """The listing; ``probe`` it outside every lock, then ``look`` as often as need be."""

    def __init__(self, kernel: Kernel, deadline: Deadline, *, only: int | None = None) -> None:
        self._kernel = kernel
        self._deadline = deadline
        self._only = only
        self._is_remote_elsewhere: bool | None = None
        self._known: dict[tuple[int, int | None, bytes], Seen] = {}
        self._questions = Questions(deadline)

    def covers(self, number: int) -> bool:
        """Whether a device of that number would be listed."""
        return self._only in (None, number)

    def within(self) -> float:
        """Return the seconds that a call which may hang gets now."""
        return within(self._deadline)

    def probe(self, seen: Iterable[Seen]) -> bool:
        """Ask those devices whose storage may hang; return whether anything new is known.

        All at once. One that did not answer is not asked again here. Whether an image is deleted is asked each time.
        """
        return self._probe([one.bound for one in seen if one.hangs and (one.judged or not one.is_asked)])

    def ask_again(self, seen: Iterable[Seen]) -> None:
        """Ask those that did not answer once more, where it is time for that."""
        stuck = [one.bound for one in seen if one.stuck]
        if stuck and self._questions.is_due():
            for bound in stuck:
                self._known.pop(_key(bound), None)
            self._probe(stuck)
            self._questions.put()

    def _probe(self, hanging: Sequence[BoundDevice]) -> bool:
        if not hanging:
            return False
        found = dict(zip(map(_key, hanging), _all_at_once(self._probe_one, hanging), strict=True))
        is_new = any(self._known.get(key) != seen for key, seen in found.items())
        self._known.update(found)
        return is_new

    def _probe_one(self, bound: BoundDevice) -> Seen:
        seen = self._known.get(_key(bound))
        if seen is None or (seen.status is None and not seen.stuck):
            seen = self._ask(bound, hangs=True)
        if seen.stuck:
            return seen
        judged = judge(self._kernel, seen.bound.backing_file, seen.inode, self.within())
        return attrs.evolve(seen, judged=judged)

    def look(self, numbers: Iterable[int] | None = None, *, probes: bool = False) -> list[Seen]:
        """List the devices, or those of these numbers, as they are now.

        One that may hang and was not probed, now or before, has no status.
        """
        listed, found = self._bound(numbers), []
        if probes:
            self._probe([bound for bound, hangs in listed if hangs])
        for bound, hangs in listed:
            seen = self._known.get(_key(bound))
            if seen is None:
                seen = Seen(bound, None, hangs=True, is_asked=False) if hangs else self._ask(bound, hangs=False)
            if seen.status is not None and bound.diskseq is not None:
                self._known[_key(bound)] = seen
            found.append(seen)
        return found

    def judged(self, seen: Seen) -> Judged:
        """Tell whether a device's image is deleted, and its path: now, or where that may hang, at the last probe."""
        if seen.hangs:
            return seen.judged or Judged(Deletion.UNKNOWN, seen.path)
        return judge(self._kernel, seen.bound.backing_file, seen.inode, None)

    def deletion_of(self, seen: Seen) -> Deletion:
        """Tell whether a device's image is deleted."""
        return self.judged(seen).deletion

    def image_of(self, seen: Seen) -> Path:
        """Return the path that a device's image has, or had before it was deleted."""
        return Path(os.fsdecode(self.judged(seen).path))

    def _bound(self, numbers: Iterable[int] | None = None) -> list[tuple[BoundDevice, bool]]:
        if numbers is None:
            numbers = self._numbers()
        bound = [one for number in numbers if (one := self._kernel.look(number)) is not None]
        if not bound:
            return []
        if self._is_remote_elsewhere is None:
            self._is_remote_elsewhere = self._kernel.is_remote_elsewhere()
        if self._is_remote_elsewhere:
            return [(one, True) for one in bound]
        on_remote = self._kernel.may_hang([one.backing_file for one in bound])
        return [(one, hangs or self._is_cut_off(one)) for one, hangs in zip(bound, on_remote, strict=True)]

    def _numbers(self) -> list[int]:
        try:
            if self._only is not None:
                return [self._only] if self._kernel.is_bound(self._only) else []
            return self._kernel.bound_numbers()
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            message = f"{error.strerror}: mount it, or in a container pass it in"
            raise LoopUnavailableError(message, errno=error.errno) from error

    def _is_cut_off(self, bound: BoundDevice) -> bool:
        """Whether the path leads nowhere though nothing was deleted.

        Its mount is gone or another namespace's, so that the path does not tell what it lies on (F30).
        """
        if bound.backing_file.endswith(DELETED_SUFFIX):
            return False
        try:
            self._kernel.file_id(bound.backing_file)
        except OSError:  # whatever the errno: not reached by that path
            return True
        return False

    def _ask(self, bound: BoundDevice, *, hangs: bool) -> Seen:
        try:
            status, diskseq = self._kernel.status_of(bound.number, within=self.within() if hangs else None)
        except StuckError:
            return Seen(bound, None, hangs, stuck=True)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a detach is under way (F35)
                return Seen(bound, None, hangs)
            if error.errno == errno.ENOENT:
                return Seen(bound, None, hangs, has_node=False)
            if error.errno in (errno.EACCES, errno.EPERM):
                raise self._forbidden(bound.number, error) from error
            if error.errno in _OUR_OWN:
                raise
            return Seen(bound, None, hangs=True, is_dead=True)
        return Seen(bound, status if self._is_of(bound, status, diskseq) else None, hangs)

    def _is_of(self, bound: BoundDevice, status: LoopStatus, diskseq: int | None) -> bool:
        """Whether a status is of the attachment that sysfs showed: the number may have changed hands in between."""
        if status.number != bound.number or diskseq != bound.diskseq:
            return False
        return diskseq is not None or self._kernel.look(bound.number) == bound

    def _forbidden(self, number: int, error: OSError) -> LoopPermissionError:
        node = self._kernel.node(number)
        message = f"{node} may not be opened: {error.strerror}; it takes root, or read access to the nodes"
        return LoopPermissionError(message, device=node, errno=error.errno)


def _all_at_once(ask: Callable[[BoundDevice], Seen], devices: Sequence[BoundDevice]) -> list[Seen]:
    try:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - where nothing hangs nobody waits for it

        with ThreadPoolExecutor(min(len(devices), _PROBES_AT_ONCE)) as pool:
            return list(pool.map(ask, devices))
    except RuntimeError:  # the interpreter is ending, and starts no thread any more
        return list(map(ask, devices))


def _key(bound: BoundDevice) -> tuple[int, int | None, bytes]:
    return bound.number, bound.diskseq, bound.backing_file
