"""Facts about partitions of a loop device, made and dropped by BLKPG."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import as_nobody
from tests.support.features import opens_drop_partitions, require_lasting_partitions
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.rawloop import Attachment, Flag, Status, attach, clear_as_only_opener, opened
from tests.support.rig import fails_with, filled, private_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START, LENGTH = 4096, 8192


@pytest.fixture
def number() -> Iterator[int]:
    """A loop number of our own, whose leftover partitions nobody else can meet."""
    with private_number() as found:
        yield found


def _cleared(loop: Attachment) -> None:
    clear_as_only_opener(loop.held)
    loop.close()


def _closed(loop: Attachment) -> None:
    loop.close()


WAYS = pytest.mark.parametrize(("detach", "scoped"), [(_cleared, Flag.NONE), (_closed, Flag.AUTOCLEAR)])


def _left_after(image: Path, number: int, flags: Flag, detach: Callable[[Attachment], None]) -> list[int]:
    """Attach, add partition 1, detach in this way, and return the partitions that sysfs still has."""
    with attach(image, number=number, status=Status(flags=flags)) as loop:
        with opened(loop.node):  # the first open may drop partitions (F60), and udev's may come after they are added
            pass
        rawloop.add_partition(loop.held, 1, START, LENGTH)
        assert rawloop.partitions(number) == [1]
        detach(loop)
        rawloop.wait_until(lambda: not loop.is_attached(), f"{loop.node} is free")
    return rawloop.partitions(number)


@WAYS
def test_f31_without_partscan_partitions_survive_the_detach_and_show_the_next_image(
    tmp_path: Path, number: int, detach: Callable[[Attachment], None], scoped: Flag
) -> None:
    """Without PARTSCAN a partition made by BLKPG outlives the detach and shows the next image of that number."""
    require_lasting_partitions()
    assert _left_after(filled(tmp_path / "one"), number, scoped, detach) == [1]
    with attach(filled(tmp_path / "two", b"B"), number=number), opened(rawloop.node(number, 1)) as partition:
        assert os.pread(partition, 1, 0) == b"B"
        assert rawloop.size_bytes(partition) == LENGTH


@WAYS
def test_f60_the_next_image_never_lies_below_partitions_that_an_open_drops(
    tmp_path: Path, number: int, detach: Callable[[Attachment], None], scoped: Flag
) -> None:
    """Where an open drops what BLKPG added, the one before the next LOOP_CONFIGURE does, and nothing is left."""
    _left_after(filled(tmp_path / "one"), number, scoped, detach)
    with attach(filled(tmp_path / "two", b"B"), number=number):
        assert rawloop.partitions(number) == ([] if opens_drop_partitions() else [1])


@WAYS
def test_f31_with_partscan_the_kernel_drops_them_at_the_detach(
    tmp_path: Path, number: int, detach: Callable[[Attachment], None], scoped: Flag
) -> None:
    """With PARTSCAN the kernel drops the partitions at the detach, whoever made them."""
    _left_after(filled(tmp_path / "one"), number, scoped | Flag.PARTSCAN, detach)
    # Where udev's close is the last one, sysfs shows the device as free a moment before they are dropped.
    rawloop.wait_until(lambda: not rawloop.partitions(number), "the kernel drops the partitions")


def test_f31_a_leftover_partition_of_an_unbound_device_can_be_opened_and_deleted(tmp_path: Path, number: int) -> None:
    """A leftover partition of a device that is bound to nothing opens, keeps its size, and can still be deleted."""
    require_lasting_partitions()
    _left_after(filled(tmp_path / "one"), number, Flag.NONE, _cleared)
    with opened(rawloop.node(number, 1)) as partition:
        assert rawloop.size_bytes(partition) == LENGTH
        with fails_with(errno.EIO):
            os.pread(partition, 1, 0)
    with opened(rawloop.node(number)) as fd:
        rawloop.delete_partition(fd, 1)
    assert rawloop.partitions(number) == []


def _mbr(*partitions: tuple[int, int]) -> bytes:
    """A DOS partition table with Linux partitions, each start and length in sectors."""
    entries = [struct.pack("<B3sB3s2I", 0, b"", 0x83, b"", start, length) for start, length in partitions]
    return b"".join(entries).rjust(446 + 16 * len(entries), b"\0").ljust(510, b"\0") + b"\x55\xaa"


def test_f32_partx_adds_the_partitions_of_a_table_that_the_kernel_did_not_read(tmp_path: Path, number: int) -> None:
    """`partx --add` reads the table in user space and makes the partitions by BLKPG, PARTSCAN or not."""
    image = filled(tmp_path / "image")
    with image.open("r+b") as file:
        file.write(_mbr((8, 16), (24, 8)))
    with attach(image, number=number) as loop:
        assert rawloop.partitions(number) == []
        run(require_tool("partx"), "--add", loop.node)
        assert rawloop.partitions(number) == [1, 2]
        with opened(rawloop.node(number, 1)) as partition:
            assert rawloop.size_bytes(partition) == 16 * 512


def test_f32_deleting_an_open_partition_is_ebusy(tmp_path: Path, number: int) -> None:
    """BLKPG_DEL of a partition that anybody has open is EBUSY."""
    status = Status(flags=Flag.PARTSCAN)  # without it the open of the partition may drop it (F60)
    with attach(filled(tmp_path / "image"), number=number, status=status) as loop:
        rawloop.add_partition(loop.held, 1, START, LENGTH)
        with opened(rawloop.node(number, 1)), fails_with(errno.EBUSY):
            rawloop.delete_partition(loop.held, 1)
        rawloop.delete_partition(loop.held, 1)
        with fails_with(errno.ENXIO):
            rawloop.delete_partition(loop.held, 1)


def test_f37_blkpg_needs_cap_sys_admin_not_a_writable_descriptor(tmp_path: Path, number: int) -> None:
    """BLKPG works for root through O_RDONLY | O_EXCL, and is EACCES without CAP_SYS_ADMIN through any descriptor."""
    with attach(filled(tmp_path / "image"), number=number) as loop:
        with opened(loop.node, os.O_RDONLY | os.O_EXCL) as claim:
            rawloop.add_partition(claim, 1, START, LENGTH)
            assert as_nobody(lambda: rawloop.delete_partition(claim, 1), keep=(claim,)) == "EACCES"
            rawloop.delete_partition(claim, 1)
        assert rawloop.partitions(number) == []
