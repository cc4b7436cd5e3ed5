"""Mounting a medium: look, attach, mount, under the medium's mount lock; or take all of it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import LoopAttachment, Options
from ntt_loops._attachment.image import Extent, open_image
from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._ledger import mount_lock
from ntt_loops._medium import Medium, release_device, release_idle
from ntt_loops._mounted_medium.folders import Folders
from ntt_loops._mounted_medium.plan import Planner
from ntt_loops._mounted_medium.points import Points
from ntt_loops._mounted_medium.standing import devices_of, find_standing
from ntt_loops._mounted_medium.values import MountedMedium
from ntt_loops._mounting import Leaving, Source
from ntt_loops.errors import MountError, MountTimeoutError, NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._attachment import LoopDevice
    from ntt_loops._attachment.image import OpenImage
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger
    from ntt_loops._mounted_medium.plan import Plan
    from ntt_loops._mounted_medium.standing import Standing
    from ntt_loops._mounted_medium.values import MountedPartition

#: An attach waits for others no longer than this, and neither does what undoes it.
_ATTACH_SECONDS = 10.0


@attrs.frozen
class Request:
    """What is to be mounted where."""

    image: str
    medium: str
    root: str | os.PathLike[str]
    timeout: float


class MediumMount:
    """One call's work on a medium.

    Attributes:
        made: The device that this call attached and left to its mounts; None where it found the medium mounted.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, request: Request) -> None:
        self.made: LoopDevice | None = None
        self._kernel = kernel
        self._ledger = ledger
        self._request = request
        self._folders = Folders(request.root, request.medium)
        self._points = Points(self._folders)
        self._attachment: LoopAttachment | None = None

    @kernel_errors()
    def mount(self) -> MountedMedium:
        """Mount what is not mounted yet; what goes wrong undoes what this call did."""
        deadline = Deadline.after(self._request.timeout)
        leaving = Leaving(self._undo)
        with mount_lock(self._ledger, self._request.medium, deadline):
            try:
                return self._mount(deadline)
            except BaseException as error:
                leaving.after(error)
                raise

    @kernel_errors()
    def unmount(self) -> None:
        """Take back what this call made, and nothing else."""
        if self.made is None:
            return
        deadline = Deadline.after(self._request.timeout)
        with mount_lock(self._ledger, self._request.medium, deadline):
            release_device(self._kernel, self._ledger, self.made, deadline, unmount=True)
            self._folders.tidy()
            self._folders.undo()
        self.made = None

    def _mount(self, deadline: Deadline) -> MountedMedium:
        image = self._opened()
        standing = find_standing(self._kernel, self._folders, self._request.medium)
        if standing:
            return self._complete(image, standing, deadline)
        self._release_idle(image, deadline)
        self._folders.check(self._kernel.mount_points())
        return self._mount_anew(deadline)

    def _opened(self) -> OpenImage:
        """Look at the image; it is opened again for the attach."""
        opened = open_image(self._request.image, writable=False, extent=Extent())
        opened.close()
        return opened

    def _release_idle(self, image: OpenImage, deadline: Deadline) -> None:
        name = self._request.medium
        paths = frozenset((os.fsencode(image.path), image.backing_file))
        media = Medium(name), Medium(name, paths, (image.dev, image.inode))
        release_idle(self._kernel, self._ledger, media, deadline)

    # -- nothing of it is mounted

    def _mount_anew(self, deadline: Deadline) -> MountedMedium:
        device = self._attached(0, deadline)
        plan = Planner(self._kernel, device, deadline).plan()
        if plan.begins_at:
            self._detached()
            device = self._attached(plan.begins_at, deadline)
            plan = attrs.evolve(Planner(self._kernel, device, deadline).plan_whole(), begins_at=plan.begins_at)
        partitions = self._points.mount(plan, {}, device, deadline)
        if not any(one.status == "ok" for one in partitions):
            raise self._nothing(partitions)
        self.made = device
        if self._attachment is not None:
            self._attachment.hand_over()
        return self._result(plan, partitions, [device], is_new=True)

    def _attached(self, offset_bytes: int, deadline: Deadline) -> LoopDevice:
        options = Options.of(
            self._request.image,
            medium=self._request.medium,
            writable=False,
            offset_bytes=offset_bytes,
            size_limit_bytes=0,
            sector_size_bytes=None,
            timeout=min(deadline.remaining, _ATTACH_SECONDS),
        )
        self._attachment = LoopAttachment(self._kernel, self._ledger, self._request.image, options)
        return self._attachment.__enter__()

    def _detached(self) -> None:
        if self._attachment is not None:
            self._attachment.close()

    # -- something of it is

    def _complete(self, image: OpenImage, standing: list[Standing], deadline: Deadline) -> MountedMedium:
        """Add what a run that was killed could not mount."""
        number = standing[0].number
        with Source(self._kernel, number).held():
            devices = devices_of(self._kernel, standing, image, self._request.medium)
            offset_bytes = self._kernel.status_of(number)[0].offset_bytes
            mounted = {one.partition: one.mount.fstype for one in standing}
            planner = Planner(self._kernel, devices[number], deadline, mounted)
            plan = planner.plan() if offset_bytes == 0 else planner.plan_whole()
            plan = attrs.evolve(plan, begins_at=offset_bytes)
            partitions = self._points.mount(plan, self._points.by_partition(plan, standing), devices[number], deadline)
        return self._result(plan, partitions, devices.values(), is_new=False)

    # -- what is told, and what is undone

    def _result(
        self, plan: Plan, partitions: tuple[MountedPartition, ...], devices: Iterable[LoopDevice], *, is_new: bool
    ) -> MountedMedium:
        return MountedMedium(
            medium=self._request.medium,
            image=Path(os.path.abspath(self._request.image)),
            layout=plan.layout,
            mount_point=Path(os.fsdecode(self._folders.base)),
            partitions=partitions,
            devices=tuple(devices),
            offset_bytes=plan.begins_at,
            hybrid=plan.hybrid,
            is_new=is_new,
        )

    def _nothing(self, partitions: tuple[MountedPartition, ...]) -> MountError:
        """Return the error that says of each partition why it is not mounted."""
        request = self._request
        text = "; ".join(f"{one.device}: {one.status}: {one.error}" for one in partitions)
        kind = MountTimeoutError if self._points.is_all_timeouts else MountError
        message = f"nothing of {request.image} (medium {request.medium}) could be mounted: {text}"
        return kind(message, medium=request.medium, image=request.image, text=text, partitions=partitions)

    def _undo(self) -> None:
        """Unmount what was mounted here, detach, remove the folders; the first thing that fails is raised last."""
        failed: list[NttLoopsError | OSError] = []
        for step in (self._points.unmount, self._detached, self._release_made, self._folders.undo):
            try:
                step()
            except (NttLoopsError, OSError) as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _release_made(self) -> None:
        """Release what was left to its mounts already."""
        if self.made is not None:
            deadline = Deadline.after(_ATTACH_SECONDS)
            release_device(self._kernel, self._ledger, self.made, deadline, unmount=True)
            self.made = None
