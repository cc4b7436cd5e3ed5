"""``loop_image``: what it makes, by the programs of the system as judges, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import attached, mounted_medium
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.plugin import outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.pytest_plugin import LoopImages
    from ntt_loops.testing import MemoryKernel

MIB = 2**20
FILES = {"letter.txt": b"Dear Ann", "1994/a b.txt": b"c"}


def blkid(image: Path, tag: str, offset_bytes: int = 0) -> str:
    """Return what blkid(8) says."""
    options = ("--probe", "--output", "value", "--match-tag", tag, "--offset", str(offset_bytes))
    return run(require_tool("blkid"), *options, image).strip()


def test_by_default_an_image_of_one_mebibyte_named_like_a_hash(loop_image: LoopImages, tmp_path: Path) -> None:
    """Below tmp_path, each of another name, without a file system."""
    first, second = loop_image(), loop_image()
    assert (first.parent, first.stat().st_size) == (tmp_path, MIB)
    assert re.fullmatch(r"[0-9a-f]{32}\.img", first.name)
    assert first != second
    assert first.read_bytes().startswith(b"ntt-loops test image")
    assert str(tmp_path) in repr(loop_image)


def test_name_and_size_are_those_that_are_asked_for(loop_image: LoopImages) -> None:
    """Bytes behind the last sector, too; and the rest of a large image is a hole."""
    image = loop_image(name="disk 12.img", size_bytes=512 * MIB + 100)
    found = image.stat()
    assert (image.name, found.st_size) == ("disk 12.img", 512 * MIB + 100)
    assert found.st_blocks * 512 < 4 * MIB


@pytest.mark.parametrize("fstype", ["ext2", "ext3", "ext4", "btrfs", "vfat", "xfs"])
def test_each_file_system_fills_the_image(fstype: str, loop_image: LoopImages) -> None:
    """blkid(8) finds it."""
    require_tool(f"mkfs.{fstype}")
    assert blkid(loop_image(fstype=fstype), "TYPE") == fstype


@pytest.mark.parametrize("fstype", ["ext2", "ext4"])
def test_files_are_in_it(fstype: str, loop_image: LoopImages) -> None:
    """debugfs(8) reads them back."""
    require_tool(f"mkfs.{fstype}")
    debugfs = require_tool("debugfs")
    image = loop_image(fstype=fstype, files=FILES)
    for name, content in FILES.items():
        assert run(debugfs, "-R", f'cat "/{name}"', image).encode() == content


def test_there_is_room_for_large_files(loop_image: LoopImages) -> None:
    """The default size grows with what is to be in it."""
    require_tool("mkfs.ext4")
    assert loop_image(fstype="ext4", files={"a": os.urandom(20 * MIB)}).stat().st_size >= 28 * MIB


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_partitions_are_where_the_table_says(label: str, loop_image: LoopImages) -> None:
    """Each begins at a whole MiB, has its length and its file system, and sfdisk(8) has nothing to complain of."""
    sfdisk = require_tool("sfdisk")
    require_tool("mkfs.ext4")
    require_tool("mkfs.vfat")
    parts = [{"fstype": "ext4", "files": FILES}, {"size_bytes": 3 * MIB + 512}, {"fstype": "vfat"}]
    image = loop_image(partitions=parts, label=label)  # type: ignore[arg-type]
    table: dict[str, Any] = json.loads(run(sfdisk, "--json", image))["partitiontable"]
    places = [(one["start"] * 512 // MIB, one["size"] * 512) for one in table["partitions"]]
    assert (table["label"], places) == (label, [(1, 9 * MIB), (10, 3 * MIB + 512), (14, 8 * MIB)])
    assert [blkid(image, "TYPE", MIB), blkid(image, "TYPE", 14 * MIB)] == ["ext4", "vfat"]
    assert "No errors detected" in run(sfdisk, "--verify", image)


def test_no_other_file_is_left_below_tmp_path(loop_image: LoopImages, tmp_path: Path) -> None:
    """What it took to make an image is gone."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    image = loop_image(partitions=[{"fstype": "ext4", "files": FILES}])
    assert list(tmp_path.iterdir()) == [image]


BAD = {
    "fstype": (
        {"fstype": "ext5"},
        "fstype is ext2, ext3, ext4, btrfs, vfat or xfs, or None for no file system, not 'ext5'",
    ),
    "no size": ({"size_bytes": 0}, "size_bytes is positive, not 0"),
    "negative size": ({"size_bytes": -512}, "size_bytes is positive, not -512"),
    "a path": ({"name": "a/b.img"}, "name is that of a file below tmp_path, not 'a/b.img'"),
    "a way out": ({"name": ".."}, "name is that of a file below tmp_path, not '..'"),
    "no name": ({"name": ""}, "name is that of a file below tmp_path, not ''"),
    "files alone": ({"files": FILES}, "files can be put into ext2, ext3, ext4 or btrfs only, not into no file system"),
    "files in vfat": ({"fstype": "vfat", "files": FILES}, "ext2, ext3, ext4 or btrfs only, not into vfat"),
    "a file's name": ({"fstype": "ext4", "files": {"../a": b""}}, "'../a' is no file's name below the root"),
    "both": ({"fstype": "ext4", "partitions": [{}]}, "fstype and files belong to the partitions here"),
    "label": ({"partitions": [{}], "label": "mac"}, "label is dos or gpt, not 'mac'"),
    "five": ({"partitions": [{}] * 5}, "a dos table made here has 4 partitions at most, not 5"),
    "too small": ({"partitions": [{}], "size_bytes": MIB}, f"the partitions need size_bytes of {3 * MIB} or more"),
    "in a partition": ({"partitions": [{}, {"fstype": "ext5"}]}, "partition 2: fstype is ext2,"),
    "a sector's half": ({"partitions": [{"size_bytes": 700}]}, "partition 1: size_bytes is in whole sectors of 512"),
    "a wrong key": ({"partitions": [{"size": 512}]}, "partition 1: it has fstype, files and size_bytes, not 'size'"),
}


@pytest.mark.parametrize(("wanted", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused(
    wanted: dict[str, Any], message: str, loop_image: LoopImages, tmp_path: Path
) -> None:
    """With the reason, and nothing is made."""
    with pytest.raises(ValueError, match=re.escape(message)):
        loop_image(**wanted)
    assert list(tmp_path.iterdir()) == []


def test_text_in_a_file_is_refused(loop_image: LoopImages) -> None:
    """A file holds bytes."""
    with pytest.raises(TypeError, match="what is in 'a' must be bytes, not str"):
        loop_image(fstype="ext4", files={"a": "text"})  # type: ignore[dict-item]


def test_a_file_of_that_name_is_not_overwritten(loop_image: LoopImages) -> None:
    """The second image of a name is an error, and the first one stays."""
    image = loop_image(name="a.img")
    content = image.read_bytes()
    with pytest.raises(FileExistsError):
        loop_image(name="a.img", size_bytes=512)
    assert image.read_bytes() == content


def test_what_mkfs_says_is_told(loop_image: LoopImages, tmp_path: Path) -> None:
    """An image that is too small for its file system: mkfs(8) knows, and nothing is left."""
    require_tool("mkfs.xfs")
    with pytest.raises(RuntimeError, match=r"mkfs\.xfs could not make an image, exit status 1: .*size"):
        loop_image(fstype="xfs", size_bytes=MIB)
    assert list(tmp_path.iterdir()) == []


MISSING_TOOL = """
def test_one(loop_image, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("ntt_loops.pytest_plugin._programs._SBIN", ())
    try:
        loop_image({})
    finally:
        assert list(tmp_path.iterdir()) == []
"""


@pytest.mark.parametrize(
    ("wanted", "tool"), [("fstype='ext4'", "mkfs.ext4"), ("partitions=[{'fstype': 'vfat'}]", "sfdisk")]
)
def test_a_missing_program_skips_the_test_and_is_named(wanted: str, tool: str, pytester: pytest.Pytester) -> None:
    """Whoever reads the reasons of skips knows what to install."""
    pytester.makepyfile(MISSING_TOOL.format(wanted))
    result = pytester.runpytest("-rs")
    assert outcomes(result) == {"skipped": 1}
    result.stdout.fnmatch_lines([f"*SKIPPED*{tool} is not installed: loop_image needs it*"])


def test_a_missing_program_fails_the_test_where_that_is_asked_for(pytester: pytest.Pytester) -> None:
    """As in CI, where a skipped test is one that nobody misses."""
    pytester.makepyfile(MISSING_TOOL.format("fstype='ext4'"))
    result = pytester.runpytest("-o", "ntt_loops_require_tools=true")
    assert outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["mkfs.ext4 is not installed: loop_image needs it, and ntt_loops_require_tools is set"])


def test_an_image_without_a_file_system_needs_no_program(pytester: pytest.Pytester) -> None:
    """It is made by this library alone."""
    pytester.makepyfile(MISSING_TOOL.format("").replace("assert list(tmp_path.iterdir()) == []", "pass"))
    assert outcomes(pytester.runpytest()) == {"passed": 1}


def test_the_kernel_in_memory_knows_what_is_in_it(
    loop_image: LoopImages, in_memory_loops: MemoryKernel, tmp_path: Path
) -> None:
    """Whichever of the two fixtures comes first: partitions, file systems, and files where they are mounted."""
    require_tool("sfdisk")
    require_tool("mkfs.ext4")
    image = loop_image(partitions=[{"fstype": "ext4", "files": FILES}, {}])
    with attached(image) as device:
        assert [(one.number, one.start_bytes, one.type) for one in device.partitions] == [
            (1, MIB, "0x83"),
            (2, 10 * MIB, "0x83"),
        ]
    with mounted_medium(image, root=tmp_path / "root") as medium:
        assert [one.status for one in medium.partitions] == ["ok", "failed"]
        (point,) = [one.mount_point for one in medium.partitions if one.mount_point is not None]
        found = {str(path.relative_to(point)): path.read_bytes() for path in point.rglob("*") if path.is_file()}
    assert found == FILES
    assert in_memory_loops.bound_numbers() == []
