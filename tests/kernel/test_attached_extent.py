"""Offset, size limit, sector size, and the bytes at the end that no loop device shows."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import ImageError, LoopDevice, Loops
from tests.support import oracle, rawloop
from tests.support.media import new_id, new_image

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """An image of 64 KiB whose sectors are all different."""
    path = tmp_path / f"{new_id()}.img"
    path.write_bytes(b"".join(number.to_bytes(512, "big") for number in range(128)))
    return path


def _read(device: LoopDevice) -> bytes:
    return device.path.read_bytes()


def _sector_bytes(device: LoopDevice) -> int:
    return int(rawloop.sysfs(device.number, "queue/logical_block_size") or 0)


@pytest.mark.parametrize(("offset", "limit"), [(0, 0), (512, 0), (0, 1024), (4096, 8192), (65024, 512), (1, 1024)])
def test_a_part_of_the_image(loops: Loops, counted: Path, offset: int, limit: int) -> None:
    """With an offset and a size limit the device shows that part of the image, and no byte more."""
    expected = counted.read_bytes()[offset : offset + limit if limit else None]
    with loops.attached(counted, offset_bytes=offset, size_limit_bytes=limit) as device:
        whole = len(expected) - len(expected) % 512
        assert _read(device) == expected[:whole]
        assert (device.size_bytes, device.tail_bytes) == (whole, len(expected) - whole)
        (row,) = [row for row in oracle.losetup_list() if row["name"] == str(device)]
        assert (row["offset"], row["sizelimit"]) == (offset, limit)
    assert not oracle.bound_devices(counted)


@pytest.mark.parametrize("sector", [512, 1024, 2048, 4096])
def test_a_sector_size(loops: Loops, counted: Path, sector: int) -> None:
    """The sector size that is asked for is the device's, and all of the image can be read."""
    with loops.attached(counted, sector_size_bytes=sector) as device:
        assert _sector_bytes(device) == sector
        assert _read(device) == counted.read_bytes()


def test_without_a_sector_size_it_is_512(loops: Loops, counted: Path) -> None:
    """By default sectors have 512 bytes."""
    with loops.attached(counted) as device:
        assert _sector_bytes(device) == 512


def test_a_table_at_the_second_sector_is_where_its_sector_size_puts_it(loops: Loops, tmp_path: Path) -> None:
    """Of a medium with sectors of 2048 bytes the second one, where a GPT begins, is at byte 2048 of the device."""
    image = tmp_path / f"{new_id()}.img"
    image.write_bytes(bytes(2048) + b"EFI PART".ljust(2048, b"\0") + bytes(60 * KIB))
    with loops.attached(image, sector_size_bytes=2048) as device, rawloop.opened(device) as descriptor:
        assert os.pread(descriptor, 8, _sector_bytes(device)) == b"EFI PART"


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (64 * KIB + 512, {"sector_size_bytes": 4096}),
        (64 * KIB, {"sector_size_bytes": 1000}),
        (64 * KIB, {"sector_size_bytes": 256}),
        (64 * KIB, {"sector_size_bytes": -512}),
        (64 * KIB, {"offset_bytes": 64 * KIB}),
        (64 * KIB, {"offset_bytes": -1}),
        (64 * KIB, {"size_limit_bytes": -1}),
        (64 * KIB, {"offset_bytes": 4096, "size_limit_bytes": 64 * KIB}),
        (64 * KIB, {"size_limit_bytes": 511}),
        (0, {}),
        (511, {}),
    ],
)
def test_what_cannot_be_read_whole_is_refused(loops: Loops, tmp_path: Path, size: int, options: dict[str, Any]) -> None:
    """An extent that would attach as an empty device or read as EIO is ImageError, and nothing is attached."""
    image = new_image(tmp_path, size_bytes=size)
    with pytest.raises(ImageError, match="nothing was attached"):
        loops.attach_kept(image, **options)
    assert not oracle.bound_devices(image)


@pytest.mark.parametrize("tail", [1, 511])
def test_bytes_at_the_end_are_warned_of(
    loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture, tail: int
) -> None:
    """Bytes behind the last whole sector are .tail_bytes and a warning with their number; the rest can be read."""
    image = new_image(tmp_path, size_bytes=4096 + tail)
    with caplog.at_level(logging.DEBUG, "ntt_loops"), loops.attached(image) as device:
        assert (device.size_bytes, device.tail_bytes) == (4096, tail)
        assert _read(device) == image.read_bytes()[:4096]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"last {tail} bytes" in record.message
    assert record.__dict__["medium"] == image.stem


def test_whole_sectors_are_not_warned_of(loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An image of whole sectors logs nothing."""
    with caplog.at_level(logging.DEBUG, "ntt_loops"), loops.attached(new_image(tmp_path, size_bytes=512)) as device:
        assert (device.size_bytes, device.tail_bytes) == (512, 0)
    assert caplog.records == []
