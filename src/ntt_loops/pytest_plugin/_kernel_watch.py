"""One kernel, before and after, and what is left in sentences."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from ntt_loops.pytest_plugin._leak import Leak
from ntt_loops.pytest_plugin._sightings import Before, MemorySights, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._kernel import BoundDevice
    from ntt_loops._world import World
    from ntt_loops.pytest_plugin._sightings import Sighting, Sights


class KernelWatch:
    """What comes on one kernel.

    Args:
        sights: How to look at it.
        before: What was there; nothing at all, where it was made since.

    Attributes:
        bound_images: The paths of the images that were bound at the last look, of the test's own.
        seen_images: Those that ever were.
    """

    def __init__(self, sights: Sights, before: Before) -> None:
        self.sights = sights
        self._before = before
        self.is_memory = isinstance(sights, MemorySights)
        self.bound_images: set[bytes] = set()
        self.seen_images: set[bytes] = set()

    def look(self, worlds: Iterable[World]) -> Sighting:
        """Look now, with the ledgers of this kernel."""
        found = self.sights.look([one for one in worlds if self.sights.is_on_it(one)])
        self.bound_images = {path_of(one) for one in found.devices.values()}
        self.seen_images |= self.bound_images
        return found

    def leaks(self, worlds: Iterable[World]) -> list[Leak]:
        """Return what came since the beginning."""
        now = self.look(worlds)
        came = {key: one for key, one in now.devices.items() if key not in self._before.devices}
        devices = [self._device(one, now.recorded.get(key)) for key, one in came.items()]
        named = Counter(self.sights.mount_points(came.values()))
        mounts = (now.mounts - self._before.mounts - named).elements()
        stale = sorted(now.stale - self._before.stale)
        return [*devices, *map(self._mount, mounts), *map(self._partition, stale)]

    def _device(self, bound: BoundDevice, world: World | None) -> Leak:
        node = os.fspath(self.sights.kernel.node(bound.number))
        text = f"{node} is bound to {os.fsdecode(bound.backing_file)!r}"
        partitions = [one.name for one in self.sights.kernel.partitions(bound.number)]
        text += f", with {', '.join(f'/dev/{name}' for name in partitions)}" if partitions else ""
        points = self.sights.mount_points([bound])
        text += f", mounted at {', '.join(map(os.fsdecode, points))}" if points else ""
        image = path_of(bound)
        return self._leak(
            ("device", bound.number, bound.diskseq, image),
            text,
            may_go=not points and self._goes_by_itself(bound),
            image=image if self._may_be_released(image) else None,
            world=world,
        )

    def _goes_by_itself(self, bound: BoundDevice) -> bool:
        """Whether the kernel detaches it once somebody else - udev, as a rule - has looked at it to the end."""
        if self.is_memory or not self.sights.kernel.flags(bound.number).autoclear:
            return False
        return not self.sights.kernel.openers(self.sights.rdevs([bound]), pid=os.getpid())

    def _mount(self, point: bytes) -> Leak:
        text = f"a file system is mounted at {os.fsdecode(point)}"
        return self._leak(("mount", point), text, mount_point=point if self._may_be_released(point) else None)

    def _partition(self, node: str) -> Leak:
        text = f"partition {node} is left on a device that is bound to nothing"
        return self._leak(("partition", node), text, may_go=not self.is_memory)

    def _may_be_released(self, path: bytes) -> bool:
        """Whether the guard may undo it: real, and of a file of the run's own, or stacked on a device of its own."""
        return not self.is_memory and (self.sights.is_own(path) or path.startswith(b"/dev/loop"))

    def _leak(  # noqa: PLR0913 - as Leak has it
        self,
        key: tuple[object, ...],
        text: str,
        *,
        may_go: bool = False,
        image: bytes | None = None,
        mount_point: bytes | None = None,
        world: World | None = None,
    ) -> Leak:
        where = "in memory: " if self.is_memory else ""
        return Leak((self.is_memory, *key), f"{where}{text}", may_go, image, mount_point, world)
