"""The ``Loops`` that the package's functions are methods of."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ntt_loops._loops import Loops
from ntt_loops._world import RUN_DIR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ntt_loops._world import World


class DefaultLoops(Loops):
    """Another ``Loops`` in its stead: that of NTT_LOOPS_RUN_DIR, of /run/ntt-loops, or one that a test put there."""

    def __init__(self) -> None:
        self._current: Loops | None = None
        self._run_dir: str | None = None
        self._replacements: list[Loops] = []
        self._watchers: tuple[tuple[list[World], Callable[[World], bool]], ...] = ()

    def __reduce__(self) -> str:
        """Be the default of whatever process unpickles it: a task that is sent to another host uses that host's."""
        return "DEFAULT"

    def _world(self) -> World:
        """Return those of the ``Loops`` in whose stead this one is."""
        world = self.stand_in() or self._own_world()
        for worlds, is_wanted in self._watchers:
            if world not in worlds and is_wanted(world):
                worlds.append(world)
        return world

    def stand_in(self) -> World | None:
        """Return the world that a test put there, if one did."""
        return self._replacements[-1]._world() if self._replacements else None  # noqa: SLF001 - of the same class

    def _own_world(self) -> World:
        run_dir = os.environ.get("NTT_LOOPS_RUN_DIR") or RUN_DIR
        if self._current is None or run_dir != self._run_dir:
            self._current, self._run_dir = Loops(run_dir), run_dir
        return self._current._world()  # noqa: SLF001 - of the same class

    @contextlib.contextmanager
    def replaced_by(self, loops: Loops) -> Iterator[None]:
        """Stand for ``loops`` in a ``with`` block, in all threads."""
        self._replacements.append(loops)
        try:
            self._world()  # who watches is to know of it, used or not
            yield
        finally:
            self._replacements.remove(loops)

    @contextlib.contextmanager
    def watched(self, is_wanted: Callable[[World], bool]) -> Iterator[list[World]]:
        """Yield those worlds that are used in a ``with`` block and are wanted, by a list that grows."""
        worlds: list[World] = []
        self._watchers += ((worlds, is_wanted),)
        try:
            yield worlds
        finally:
            self._watchers = tuple(one for one in self._watchers if one[0] is not worlds)


DEFAULT = DefaultLoops()

attached = DEFAULT.attached
attach_kept = DEFAULT.attach_kept
release = DEFAULT.release
release_all = DEFAULT.release_all
release_all_async = DEFAULT.release_all_async
sweep = DEFAULT.sweep
sweep_async = DEFAULT.sweep_async
list_devices = DEFAULT.list_devices
list_media = DEFAULT.list_media
holders = DEFAULT.holders
mounted = DEFAULT.mounted
mount_medium = DEFAULT.mount_medium
mounted_medium = DEFAULT.mounted_medium
unmount_medium = DEFAULT.unmount_medium
rescue = DEFAULT.rescue
check_machine = DEFAULT.check_machine
last_sweep = DEFAULT.last_sweep
free_numbers = DEFAULT.free_numbers
