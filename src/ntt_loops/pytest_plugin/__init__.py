"""Fixtures for tests of what uses loop devices: pytest finds them where this package is installed.

pytest imports this file in each of its runs, also those that have nothing to do with loop devices. So nothing else of
the package is imported, no fixture is used by itself, and no hook runs with a test, before somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypedDict

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel

__all__ = ["LoopImages", "PartitionContent"]


class PartitionContent(TypedDict, total=False):
    """A partition of an image that ``loop_image`` makes.

    Attributes:
        size_bytes: Its length; by default what its file system needs, 8 MiB or more.
        fstype: The file system that is made in it: ``ext2``, ``ext3``, ``ext4``, ``btrfs``, ``vfat`` or ``xfs``.
        files: What is in that, by relative names; only ext2, ext3, ext4 and btrfs can be given files.
    """

    size_bytes: int
    fstype: str
    files: Mapping[str, bytes]


class LoopImages(Protocol):
    """What the fixture ``loop_image`` is."""

    def __call__(  # noqa: PLR0913 - the keywords are what an image can be
        self,
        *,
        name: str | None = None,
        size_bytes: int | None = None,
        fstype: str | None = None,
        files: Mapping[str, bytes] | None = None,
        partitions: Sequence[PartitionContent] = (),
        label: str = "dos",
    ) -> Path:
        """Make an image below the test's ``tmp_path``, sparse where it can be.

        On the kernel in memory, if that is what the package's functions work on, blkid(8), partx(8) and mount(8) find
        in it what is really there, and a mount shows its files.

        Args:
            name: The file's name; by default 32 random hex digits and ``.img``, as of a medium that no other test has.
            size_bytes: The image's length; by default 8 MiB, or what is to be in it needs.
            fstype: The file system that fills it; by default it holds a pattern in which blkid(8) finds nothing.
            files: What is in the file system, by relative names.
            partitions: A partition table instead, of these partitions, each at a whole MiB.
            label: The kind of table: ``dos``, for four partitions at most, or ``gpt``.

        Returns:
            The image's path.

        Raises:
            ValueError: What is asked for cannot be: an unknown file system or label, a size that is not positive or too
                small, a name that is a path, files without a file system that can be given some.
            TypeError: What is in a file is no bytes.
            FileExistsError: There is a file of that name.
            RuntimeError: A program failed; its words are in the message.

        The test is skipped where mkfs or sfdisk is missing, or fails with ``ntt_loops_require_tools``. Needs no root.
        Some ten milliseconds for each file system.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options of the configuration file."""
    parser.addini("ntt_loops_no_leaks", "fail every test that leaves a loop device behind", type="bool", default=False)
    parser.addini(
        "ntt_loops_require_tools",
        "fail a test that needs a program which is not installed, instead of skipping it",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, and watch over all tests if that is asked for."""
    config.addinivalue_line(
        "markers", "loop_leaks_allowed(reason): what the test leaves is meant to stay; no_loop_leaks does not watch it"
    )
    _is_set(config, "ntt_loops_require_tools")
    if _is_set(config, "ntt_loops_no_leaks"):
        from ntt_loops.pytest_plugin import _every_test  # noqa: PLC0415 - it was asked for

        config.pluginmanager.register(_every_test, "ntt_loops-every-test")


def _is_set(config: pytest.Config, option: str) -> bool:
    try:
        return bool(config.getini(option))
    except (ValueError, pytest.UsageError) as error:  # the latter since pytest 9
        message = f"{option} is true or false: {error}"
        raise pytest.UsageError(message) from None


@pytest.fixture
def in_memory_loops(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryKernel]:
    """A kernel in memory that ntt_loops' functions work on during the test: no root, and no device is touched.

    Its methods play what other processes and the machine do. Indirect parameters are the arguments of MemoryKernel.
    """
    from ntt_loops.testing import MemoryKernel, in_memory  # noqa: PLC0415 - it was asked for

    with in_memory(MemoryKernel(**getattr(request, "param", {})), run_dir=tmp_path / "ntt-loops") as kernel:
        yield kernel


@pytest.fixture
def loop_image(request: pytest.FixtureRequest, tmp_path: Path) -> LoopImages:
    """A function that makes small images below tmp_path, with partitions, file systems and files."""
    from ntt_loops.pytest_plugin._images import ImageMaker  # noqa: PLC0415 - it was asked for

    if "in_memory_loops" in request.fixturenames:
        request.getfixturevalue("in_memory_loops")  # it is to know what is in them
    return ImageMaker(request, tmp_path)


@pytest.fixture
def no_loop_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a loop device, a partition, a mount or a descriptor, and name each."""
    from ntt_loops.pytest_plugin._guard import watch_test  # noqa: PLC0415 - it was asked for

    yield from watch_test(request)
