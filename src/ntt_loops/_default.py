"""The ``Loops`` that the package's functions are methods of."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ntt_loops._loops import Loops
from ntt_loops._world import RUN_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._world import World


class DefaultLoops(Loops):
    """Another ``Loops`` in its stead: that of NTT_LOOPS_RUN_DIR, of /run/ntt-loops, or one that a test put there."""

    def __init__(self) -> None:
        self._current: Loops | None = None
        self._run_dir: str | None = None
        self._replacements: list[Loops] = []

    def _world(self) -> World:
        """Return those of the ``Loops`` in whose stead this one is."""
        if self._replacements:
            return self._replacements[-1]._world()  # noqa: SLF001 - of the same class
        run_dir = os.environ.get("NTT_LOOPS_RUN_DIR") or RUN_DIR
        if self._current is None or run_dir != self._run_dir:
            self._current, self._run_dir = Loops(run_dir), run_dir
        return self._current._world()  # noqa: SLF001 - of the same class

    @contextlib.contextmanager
    def replaced_by(self, loops: Loops) -> Iterator[None]:
        """Stand for ``loops`` in a ``with`` block, in all threads."""
        self._replacements.append(loops)
        try:
            yield
        finally:
            self._replacements.remove(loops)


DEFAULT = DefaultLoops()

attached = DEFAULT.attached
attach_kept = DEFAULT.attach_kept
release = DEFAULT.release
release_all = DEFAULT.release_all
sweep = DEFAULT.sweep
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
