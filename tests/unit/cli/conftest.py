"""The command line on a kernel in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops.testing import in_memory
from tests.support.cli import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel

HASH = "536a933b4481f605fcd44615740a9025"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKernel]:
    """A kernel in memory, and a folder with images to be in."""
    monkeypatch.chdir(tmp_path)
    for name in (f"{HASH}.img", "disk-12.img"):
        (tmp_path / name).write_bytes(bytes(4096))
    with in_memory() as memory:
        yield memory


@pytest.fixture
def cli(kernel: MemoryKernel, capfd: pytest.CaptureFixture[str]) -> CommandLine:  # noqa: ARG001 - it works on that
    """The command line."""
    return CommandLine(capfd)
