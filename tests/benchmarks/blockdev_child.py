"""libblockdev by GObject introspection, in the system's own Python, which has the bindings.

For each line with a number N on its input it attaches and detaches the image N times, and prints the nanoseconds that
took.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

_READ_ONLY_PARTSCAN = (True, True)
_LOST = ("busy", "temporarily unavailable", "No such device", "No such file")


def main(image: str) -> None:
    """Answer line by line; the first answer is that it works at all."""
    blockdev = _blockdev()
    loop = blockdev.PluginSpec()
    loop.name = blockdev.Plugin.LOOP
    blockdev.ensure_init([loop], None)
    for line in sys.stdin:
        begin = time.perf_counter_ns()
        for _ in range(int(line)):
            blockdev.loop_teardown(_attached(blockdev, image))
        print(time.perf_counter_ns() - begin, flush=True)


def _attached(blockdev: Any, image: str) -> str:
    """Attach until no other process has the number first; it does not try again by itself."""
    while True:
        try:
            return str(blockdev.loop_setup(image, 0, 0, *_READ_ONLY_PARTSCAN)[1])
        except RuntimeError as error:  # GLib.Error is one
            if not any(reason in str(error) for reason in _LOST):
                raise


def _blockdev() -> Any:
    """Return the bindings of the newest version that is there."""
    import gi  # noqa: PLC0415 - without it the program is to fail, not the check of types

    for version in ("3.0", "2.0"):
        try:
            gi.require_version("BlockDev", version)
        except ValueError:
            continue
        return importlib.import_module("gi.repository.BlockDev")
    raise SystemExit("there is no BlockDev")


if __name__ == "__main__":
    main(sys.argv[1])
