"""Many other bound devices, made by a process of their own that takes them away, whatever becomes of the run."""

from __future__ import annotations

import errno
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import bare
from tests.support import rawloop

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = Path("/sys/block")
#: Numbers below are the machine's own.
FIRST_NUMBER: Final = 8


def bound_count() -> int:
    """Return how many loop devices of the host are bound."""
    return len(list(BLOCK.glob("loop*/loop")))


@contextmanager
def crowd(images: list[Path]) -> Iterator[list[str]]:
    """Attach each image, as losetup does; yield the nodes. The numbers are the lowest, as those of leaks are."""
    ready, say = os.pipe()
    gate, hold = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        os.close(hold)
        _keep(images, say, gate)
    os.close(say)
    os.close(gate)
    try:
        with os.fdopen(ready) as answer:
            nodes = answer.read().split()
        if len(nodes) != len(images):
            message = f"only {len(nodes)} of {len(images)} devices could be bound"
            raise RuntimeError(message)
        yield nodes
    finally:
        os.close(hold)
        os.waitpid(pid, 0)


def _keep(images: list[Path], say: int, gate: int) -> None:
    """In the child: attach, wait until the parent is done or dead, detach, remove the numbers that came with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nodes: list[str] = []
    before = _numbers()
    try:
        nodes += (bare.attach(str(image)) for image in images)
        os.write(say, " ".join(nodes).encode())
        os.close(say)
        os.read(gate, 1)
    finally:
        bound = dict(zip(nodes, images, strict=False))
        with ThreadPoolExecutor(32) as pool:  # each waits for the kernel's own housekeeping
            list(pool.map(_detach, bound, bound.values()))
            list(pool.map(remove, set(map(number_of, nodes)) - before))
        os._exit(0)


def number_of(node: str) -> int:
    """Return N of ``/dev/loopN``."""
    return int(node.removeprefix("/dev/loop"))


def _numbers() -> set[int]:
    names = (path.name.removeprefix("loop") for path in BLOCK.glob("loop*"))
    return {int(name) for name in names if name.isdecimal()}


def _detach(node: str, image: Path) -> None:
    if rawloop.backing_file(number_of(node)) == bytes(image):
        with suppress(OSError):
            bare.detach(node)


def remove(number: int) -> None:
    """Remove a number that nobody uses, unless it is one of the machine's own."""
    if number < FIRST_NUMBER:
        return
    try:
        rawloop.remove(number)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENODEV):
            raise
