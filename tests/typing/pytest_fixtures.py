"""How users annotate the fixtures of the plugin, for the type checker. Never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from ntt_loops.testing import MemoryKernel, in_memory

if TYPE_CHECKING:
    from ntt_loops.pytest_plugin import LoopImages, PartitionContent

CONTENT: PartitionContent = {"fstype": "ext4", "files": {"letter.txt": b"Dear Ann"}, "size_bytes": 2**20}


def a_test(loop_image: LoopImages, in_memory_loops: MemoryKernel, tmp_path: Path) -> None:
    """As pytest calls it."""
    assert_type(loop_image(), Path)
    assert_type(loop_image(name="a.img", size_bytes=512, fstype="ext4", files={"a": b""}), Path)
    assert_type(loop_image(partitions=[CONTENT, {}, {"size_bytes": 512}], label="gpt"), Path)
    in_memory_loops.format(loop_image(), "ext4", files={"a": b""})
    with in_memory(in_memory_loops, run_dir=tmp_path / "run") as kernel:
        assert_type(kernel, MemoryKernel)
    loop_image(size_bytes="1M")  # type: ignore[arg-type]
    loop_image(partitions=[{"size": 512}])  # type: ignore[typeddict-unknown-key]
