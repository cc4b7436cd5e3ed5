"""Mounting what a plan says, each at its place, and unmounting it again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops._backoff import Deadline
from ntt_loops._mounted_medium.values import MountedPartition
from ntt_loops._mounting import mount
from ntt_loops._unmounting import unmount_point
from ntt_loops.errors import MountError, MountTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ntt_loops._attachment import LoopDevice
    from ntt_loops._mounted_medium.folders import Folders
    from ntt_loops._mounted_medium.plan import Entry, Plan
    from ntt_loops._mounted_medium.standing import Standing
    from ntt_loops._mounting import Source

#: What a call has mounted and cannot keep gets this long for its last user to go.
_TAKE_BACK_SECONDS = 5.0


class Points:
    """The mount points of one medium, and what this call mounted there."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        #: What may be mounted by this call: noted before it is.
        self._mine: list[tuple[Source, int | None, bytes]] = []
        self._errors: list[MountError] = []

    @property
    def is_all_timeouts(self) -> bool:
        """Whether each mount that failed was killed at its deadline."""
        return bool(self._errors) and all(isinstance(error, MountTimeoutError) for error in self._errors)

    def by_partition(self, plan: Plan, standing: Sequence[Standing]) -> dict[int | None, Standing]:
        """Return what is mounted, by partition.

        Raises:
            MountError: Something is mounted where the plan has nothing, or something else.
        """
        places = {self._point(plan, entry): _number(entry) for entry in plan.to_mount}
        for one in standing:
            point = one.mount.mount_point
            if point not in places or places[point] != one.partition:
                message = (
                    f"{os.fsdecode(point)} is mounted, from {os.fsdecode(one.mount.source)}, but not as it should be"
                )
                raise MountError(message, partition=os.fsdecode(one.mount.source), text=message, errno=errno.EBUSY)
        return {one.partition: one for one in standing}

    def _point(self, plan: Plan, entry: Entry) -> bytes:
        return self._folders.point(_number(entry) if plan.layout == "multi" else None)

    def mount(
        self, plan: Plan, standing: Mapping[int | None, Standing], device: LoopDevice, deadline: Deadline
    ) -> tuple[MountedPartition, ...]:
        """Mount what is to be and is not yet; each gets its share of the time, so that one which hangs leaves some."""
        left = len(plan.to_mount)
        found = []
        for entry in plan.entries:
            if entry.status is not None:
                found.append(_told(entry, device))
                continue
            point = self._point(plan, entry)
            if _number(entry) in standing:
                found.append(_told(entry, device, point=point))
            else:
                found.append(self._mount(entry, point, device, deadline.sooner(deadline.remaining / left)))
            left -= 1
        return tuple(found)

    def _mount(self, entry: Entry, point: bytes, device: LoopDevice, deadline: Deadline) -> MountedPartition:
        self._folders.make(point)
        mine = entry.source, entry.source.rdev, point
        self._mine.append(mine)
        try:
            fstype = mount(entry.source, point, entry.fstype, deadline)
        except MountError as error:
            self._mine.remove(mine)
            self._folders.drop(point)
            self._errors.append(error)
            return _told(entry, device, error=error.text)
        return _told(entry, device, point=point, fstype=fstype)

    def unmount(self) -> None:
        """Unmount what this call mounted, the last first."""
        deadline = Deadline.after(_TAKE_BACK_SECONDS)
        while self._mine:
            source, rdev, point = self._mine[-1]
            unmount_point(source.kernel, source.number, rdev, point, deadline)
            self._mine.pop()


def _number(entry: Entry) -> int | None:
    return None if entry.partition is None else entry.partition.number


def _told(
    entry: Entry, device: LoopDevice, *, point: bytes | None = None, fstype: str = "", error: str = ""
) -> MountedPartition:
    """Return what became of an entry; mounted where there is a mount point."""
    one = entry.partition
    return MountedPartition(
        number=_number(entry),
        device=entry.source.node,
        mount_point=None if point is None else Path(os.fsdecode(point)),
        fstype=fstype or entry.fstype,
        status=entry.status or ("failed" if point is None else "ok"),
        error=error or entry.error,
        start_bytes=0 if one is None else one.start_bytes,
        size_bytes=device.size_bytes if one is None else one.size_bytes,
        type="" if one is None else one.type,
    )
