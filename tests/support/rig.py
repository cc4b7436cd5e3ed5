"""What the tests of kernel facts build around a device: numbers, mounts, swap, mount namespaces."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle, rawloop
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator


def fails_with(number: int) -> AbstractContextManager[object]:
    """Expect an OSError with this errno."""
    return pytest.raises(OSError, match=rf"^\[Errno {number}\]")


def filled(path: Path, byte: bytes = b"A", *, size_bytes: int = 64 * 1024) -> Path:
    """A file full of one byte."""
    path.write_bytes(byte * size_bytes)
    return path


def is_claimed(node: Path) -> bool:
    """Whether O_RDONLY | O_EXCL is refused."""
    try:
        with rawloop.opened(node, os.O_RDONLY | os.O_EXCL):
            return False
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True


def minor_shift() -> int:
    """How many bits of the minor are the partition's: 0 unless the module has max_part."""
    return int(Path("/sys/module/loop/parameters/max_part").read_text()).bit_length()


def far_number() -> int:
    """A loop number that is probably nobody's."""
    return random.randrange(1_000, 1 << (20 - minor_shift()))


@contextmanager
def private_number() -> Iterator[int]:
    """A loop device of our own, far from the lowest free number, which GET_FREE hands to others.

    Whatever partitions are left on it go with it.
    """
    made: list[int] = []

    def is_added() -> bool:
        with suppress(FileExistsError):
            made.append(rawloop.add(far_number()))
        return bool(made)

    rawloop.wait_until(is_added, "a loop number of our own")
    try:
        yield made[0]
    finally:
        remove(made[0])


@contextmanager
def hidden_number(node: Path) -> Iterator[int]:
    """A loop device of our own that only `node` leads to: no tool of others that scans /dev opens it."""
    with private_number() as number:
        usual = rawloop.node(number)
        os.mknod(node, 0o060600, usual.stat().st_rdev)
        usual.unlink()
        yield number


def remove(number: int) -> None:
    """Remove a device as soon as nobody looks at it."""
    rawloop.wait_until(lambda: _is_removed(number), f"{rawloop.node(number)} is removed")


def _is_removed(number: int) -> bool:
    try:
        rawloop.remove(number)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENODEV):  # EBUSY: somebody looks at it
            raise
        return error.errno == errno.ENODEV
    return True


@contextmanager
def mounted(source: Path | str, target: Path, *options: str) -> Iterator[Path]:
    """A file system on `target`, which is made if need be, until the block ends or the test unmounts it."""
    target.mkdir(exist_ok=True)
    oracle.run(require_tool("mount"), *options, str(source), str(target))
    try:
        yield target
    finally:
        if target.is_mount():
            oracle.run("umount", str(target))


@contextmanager
def swapping(node: Path) -> Iterator[None]:
    """Swap on the device."""
    oracle.run(require_tool("mkswap"), str(node))
    oracle.run(require_tool("swapon"), str(node))
    try:
        yield
    finally:
        oracle.run("swapoff", str(node))


@contextmanager
def mounted_elsewhere(source: Path, target: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has `source` mounted in a mount namespace of its own, which ends with it."""
    script = 'mount "$1" "$2" && echo mounted && read -r end'
    command = [require_tool("unshare"), "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, source, target], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mounted\n"
        yield process
