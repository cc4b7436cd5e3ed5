"""Partitions of real tables: what sfdisk, partx and sysfs say, .partitions says too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle, rawloop, tables
from tests.support.media import new_image, partitions_left
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import LoopDevice, Loops

SECTOR = 512
MIB = 1024 * 1024


def _mbr(image: Path) -> None:
    lines = ["start=2048, size=2048, type=83", "start=4096, size=2048, type=7", "start=6144, size=8192, type=5"]
    logical = ["start=7168, size=1024, type=83", "start=9216, size=1024, type=82"]
    tables.partitioned(image, 8 * MIB, "label: dos", *lines, *logical)


def _gpt(image: Path) -> None:
    lines = ["start=2048, size=2048", 'start=4096, size=2048, type=U, name="a name, with blanks"']
    tables.partitioned(image, 8 * MIB, "label: gpt", *lines)


def _gpt_of_128(image: Path) -> None:
    tables.partitioned(image, 8 * MIB, "label: gpt", *(f"start={2048 + 16 * one}, size=16" for one in range(128)))


def _with_a_gap(image: Path) -> None:
    tables.partitioned(image, 8 * MIB, "label: gpt", "3: start=2048, size=16", "100: start=4096, size=16")


@pytest.mark.parametrize("make", [_mbr, _gpt, _gpt_of_128, _with_a_gap])
def test_a_table_is_read_as_sfdisk_reads_it(loops: Loops, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Number, start, size and type are sfdisk's; partx and sysfs agree; each can be opened and shows its own bytes."""
    image = new_image(tmp_path)
    make(image)
    with image.open("r+b") as file:
        file.seek(4096 * SECTOR)
        file.write(b"here")
    expected = tables.by_sfdisk(image)
    with loops.attached(image) as device:
        parts = device.partitions
        assert {one.number: (one.start_bytes, one.size_bytes) for one in parts} == tables.by_partx(device.path)
        kinds = {one.number: one.type.removeprefix("0x") for one in parts}
        assert {n: (*place, kinds[n]) for n, place in tables.by_partx(device.path).items()} == expected
        assert {one.status for one in parts} == {"ok"}
        assert sorted(map(str, parts)) == oracle.partition_nodes(str(device))
        assert [_begin(one.path) for one in parts if one.start_bytes == 4096 * SECTOR] in ([b"here"], [])
        _agrees_with_sysfs(device)
    assert partitions_left(device) == []


def _begin(path: Path) -> bytes:
    with rawloop.opened(path) as descriptor:
        return os.pread(descriptor, 4, 0)


def _agrees_with_sysfs(device: LoopDevice) -> None:
    for one in device.partitions:
        folder = f"loop{device.number}p{one.number}"
        assert rawloop.sysfs(device.number, f"{folder}/start") == str(one.start_bytes // SECTOR).encode()
        size_bytes = int(rawloop.sysfs(device.number, f"{folder}/size") or 0) * SECTOR
        assert size_bytes == (2 * SECTOR if one.type in ("0x5", "0xf") else one.size_bytes)


def test_a_gpt_of_4096_byte_sectors_is_counted_in_bytes(loops: Loops, tmp_path: Path) -> None:
    """Sfdisk counts in sectors of the device, partx and the kernel in 512 bytes: the places are the same."""
    image = new_image(tmp_path, size_bytes=8 * MIB)
    with rawloop.attach(image, writable=True, sector_bytes=4096) as loop:
        tables.sfdisk(loop.node, "label: gpt", "start=256, size=256", "start=512, size=256")
        expected = {number: place[:2] for number, place in tables.by_sfdisk(loop.node).items()}
    assert expected[1] == (MIB, MIB)
    with loops.attached(image, sector_size_bytes=4096) as device:
        assert {one.number: (one.start_bytes, one.size_bytes) for one in device.partitions} == expected
        _agrees_with_sysfs(device)
    with loops.attached(image) as device:
        assert [one for one in device.partitions if one.type] == []


def test_of_a_hybrid_table_the_gpt_counts(loops: Loops, tmp_path: Path) -> None:
    """An MBR that repeats a partition of the GPT beside it changes nothing."""
    image = new_image(tmp_path)
    _gpt(image)
    gpt = tables.by_sfdisk(image)
    tables.write(image, tables.mbr((1, 2047, 0xEE), (2048, 2048, 0x83)))
    with loops.attached(image) as device:
        assert {one.number: (one.start_bytes, one.size_bytes, one.type) for one in device.partitions} == gpt


def test_an_apple_map_is_read(loops: Loops, tmp_path: Path) -> None:
    """The map itself is a partition, too; a type with a blank arrives as it is."""
    image = new_image(tmp_path, size_bytes=MIB)
    tables.write(image, tables.apple_map(("Apple_HFS", 64, 512), ("Apple_Free Space", 576, 100)))
    with loops.attached(image) as device:
        assert [(one.number, one.type, one.start_bytes, one.size_bytes) for one in device.partitions] == [
            (1, "Apple_partition_map", SECTOR, 3 * SECTOR),
            (2, "Apple_HFS", 64 * SECTOR, 512 * SECTOR),
            (3, "Apple_Free Space", 576 * SECTOR, 100 * SECTOR),
        ]
        _agrees_with_sysfs(device)


def _bad_checksums(image: Path) -> None:
    """Damage both headers of a GPT."""
    _gpt(image)
    with image.open("r+b") as file:
        for at in (SECTOR, 8 * MIB - SECTOR):
            file.seek(at + 16)
            file.write(b"\xff\xff\xff\xff")


def _garbage(image: Path) -> None:
    image.write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom(MIB))


def _cut_gpt(image: Path) -> None:
    """Keep the first half of a disk with a GPT."""
    _gpt(image)
    os.truncate(image, 4 * MIB)


@pytest.mark.parametrize("make", [_bad_checksums, _garbage, _cut_gpt, lambda image: image.write_bytes(bytes(MIB))])
def test_what_is_no_table_any_more_has_no_partitions(
    loops: Loops, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """A table that no checksum vouches for, garbage and zeros are no error; nothing is added, and nothing left."""
    image = new_image(tmp_path)
    make(image)
    with loops.attached(image) as device:
        assert [one for one in device.partitions if one.type] == []
        with pytest.raises(LookupError):
            device.partition(1)
    assert partitions_left(device) == []


def test_of_a_gpt_with_one_bad_header_the_other_counts(loops: Loops, tmp_path: Path) -> None:
    """The copy at the end is there for that."""
    image = new_image(tmp_path)
    _gpt(image)
    expected = tables.by_sfdisk(image)
    with image.open("r+b") as file:
        file.seek(SECTOR + 16)
        file.write(b"\xff\xff\xff\xff")
    with loops.attached(image) as device:
        assert {one.number: (one.start_bytes, one.size_bytes, one.type) for one in device.partitions} == expected


def test_what_reaches_past_the_end_is_truncated(loops: Loops, tmp_path: Path) -> None:
    """The image is shorter than its disk was: what fits is there, the rest is told and not added by us."""
    image = new_image(tmp_path)
    _mbr(image)
    whole = tables.by_sfdisk(image)
    os.truncate(image, 8000 * SECTOR)
    with loops.attached(image) as device:
        parts = {one.number: one for one in device.partitions}
        assert {n: one.status for n, one in parts.items()} == {1: "ok", 2: "ok", 3: "truncated", 5: "truncated"}
        assert {n: (one.start_bytes, one.size_bytes) for n, one in parts.items()} == {n: whole[n][:2] for n in parts}
        assert {f"{device}p1", f"{device}p2"} <= set(oracle.partition_nodes(str(device)))
        assert _begin(parts[1].path) == bytes(4)


def test_a_swap_partition_past_the_end_costs_only_itself(loops: Loops, tmp_path: Path) -> None:
    """A table of Solaris is looked for in it, and libblkid gives the whole table up for that (F59)."""
    image = new_image(tmp_path)
    lines = ["start=2048, size=2048, type=83", "start=4096, size=4096, type=5", "start=8192, size=2048, type=82"]
    tables.partitioned(image, 8 * MIB, "label: dos", *lines, "5: start=5120, size=1024, type=83")
    whole = tables.by_sfdisk(image)
    os.truncate(image, 8192 * SECTOR)
    with loops.attached(image) as device:
        parts = {one.number: one for one in device.partitions}
        assert {n: one.status for n, one in parts.items()} == {1: "ok", 2: "ok", 3: "truncated", 5: "ok"}
        places = {n: (one.start_bytes, one.size_bytes, one.type.removeprefix("0x")) for n, one in parts.items()}
        assert places == whole
        assert {f"{device}p{n}" for n in (1, 2, 5)} <= set(oracle.partition_nodes(str(device)))
        assert _begin(parts[5].path) == bytes(4)
    assert partitions_left(device) == []


def test_a_damaged_extended_partition_is_no_error(loops: Loops, tmp_path: Path) -> None:
    """Where libblkid gives the table up, and sfdisk has something to say of a chain that leads nowhere (F59)."""
    image = new_image(tmp_path, size_bytes=2 * MIB)
    tables.write(image, tables.mbr((8, 100, 0x83), (200, 100, 0x5), (3 * MIB // SECTOR, 8, 0x82)))
    assert "Invalid flag" in oracle.run("sh", "-c", f"sfdisk --json {image} 2>&1")
    with loops.attached(image) as device:
        found = {one.number: (one.type, one.status) for one in device.partitions if one.number < 5}
        assert found == {1: ("0x83", "ok"), 2: ("0x5", "ok"), 3: ("0x82", "truncated")}
    assert oracle.partition_nodes(str(device)) == []


def test_without_sfdisk_such_a_table_is_not_read(loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a package of its own on Debian; what the kernel has by itself is listed all the same."""
    image = new_image(tmp_path)
    tables.partitioned(image, 8 * MIB, "label: dos", "start=2048, size=2048, type=83", "start=4096, size=2048, type=82")
    os.truncate(image, 4096 * SECTOR)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("partx", "blkid"):
        (programs / name).symlink_to(require_tool(name))
    monkeypatch.setenv("PATH", str(programs))
    with loops.attached(image) as device:
        assert [one for one in device.partitions if one.type] == []


def test_a_logical_partition_fits_though_its_container_does_not(loops: Loops, tmp_path: Path) -> None:
    """Each entry is judged by itself."""
    image = new_image(tmp_path)
    _mbr(image)
    os.truncate(image, 9000 * SECTOR)
    with loops.attached(image) as device:
        assert (device.partition(3).status, device.partition(5).status) == ("truncated", "ok")


def test_of_two_that_overlap_each_says_whether_it_is_there(loops: Loops, tmp_path: Path) -> None:
    """What the kernel refused is absent, and what stands behind it in the table is there all the same."""
    image = new_image(tmp_path, size_bytes=MIB)
    tables.write(image, tables.mbr((8, 100, 0x83), (50, 100, 0x83), (200, 100, 0x83)))
    with loops.attached(image) as device:
        there = oracle.partition_nodes(str(device))
        for one in device.partitions:
            assert one.status == ("ok" if str(one) in oracle.partition_nodes(str(device)) else "absent")
        assert [device.partition(n).status for n in (1, 3)] == ["ok", "ok"]
        if not there:  # a kernel that reads tables by itself takes both, BLKPG refuses the second one
            assert device.partition(2).status == "absent"


def test_the_partitions_of_a_part_of_an_image_are_those_of_the_part(loops: Loops, tmp_path: Path) -> None:
    """With offset_bytes the table begins there, and with a size limit it may end too early."""
    image, inner = new_image(tmp_path, size_bytes=MIB), tmp_path / "inner"
    tables.partitioned(inner, MIB // 2, "label: dos", "start=8, size=8", "start=512, size=8")
    with image.open("r+b") as file:
        file.seek(65536)
        file.write(inner.read_bytes())
    with loops.attached(image, offset_bytes=65536, size_limit_bytes=MIB // 8) as device:
        assert [(one.start_bytes, one.status) for one in device.partitions] == [
            (8 * SECTOR, "ok"),
            (512 * SECTOR, "truncated"),
        ]


def test_partitions_that_others_added_are_kept(loops: Loops, tmp_path: Path) -> None:
    """A partition that is in no table is listed without a type; reading the table does not take it away."""
    image = new_image(tmp_path, size_bytes=MIB)
    tables.write(image, tables.mbr((8, 100, 0x83)))
    with loops.attached(image) as device:
        oracle.run(require_tool("addpart"), device.path, "7", "512", "8")
        assert [(one.number, one.type, one.status) for one in device.partitions] == [(1, "0x83", "ok"), (7, "", "ok")]
