"""Facts about partition tables: who reads them, in what units, and when the partitions are there."""

from __future__ import annotations

import errno
import os
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop, tables
from tests.support.features import has_diskseq, require_lasting_partitions, require_table_reader
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.rawloop import Flag, Status, attach, clear_as_only_opener, opened
from tests.support.rig import filled, private_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
SECTOR = 512
MANY = 64


@pytest.fixture
def number() -> Iterator[int]:
    """A loop number of our own."""
    with private_number() as found:
        yield found


def _size_in_sysfs(number: int, partition: int) -> int:
    return int(rawloop.sysfs(number, f"loop{number}p{partition}/size") or 0)


def test_f54_a_partition_is_there_when_blkpg_returns(tmp_path: Path, number: int) -> None:
    """No wait is needed after partx: sysfs has each partition, and devtmpfs its node, at once."""
    image = tables.partitioned(
        tmp_path / "image", 4 * MIB, "label: gpt", *(f"start={2048 + 8 * one}, size=8" for one in range(MANY))
    )
    with attach(image, number=number, status=Status(flags=Flag.PARTSCAN)) as loop:
        run(require_tool("partx"), "--update", loop.node)
        assert rawloop.partitions(number) == list(range(1, MANY + 1))
        assert all(rawloop.node(number, one).is_block_device() for one in range(1, MANY + 1))


def test_f55_partx_counts_in_512_bytes_on_sectors_of_4096(tmp_path: Path, number: int) -> None:
    """Sfdisk counts in sectors of the device; partx, like sysfs, in 512 bytes."""
    image = filled(tmp_path / "image", b"\0", size_bytes=4 * MIB)
    with attach(image, number=number, writable=True, sector_bytes=4096) as loop:
        tables.sfdisk(loop.node, "label: gpt", "start=256, size=8")
        shown = run(require_tool("partx"), "--raw", "--noheadings", "--output", "START,SECTORS", loop.node)
        assert shown.split() == [str(256 * 8), str(8 * 8)]
        assert tables.by_sfdisk(loop.node)[1][:2] == (256 * 4096, 8 * 4096)


def test_f55_a_kernel_that_reads_tables_takes_what_blkpg_refuses(tmp_path: Path, number: int) -> None:
    """It cuts a partition that reaches past the end, leaves out one that begins there, and takes one that overlaps."""
    require_table_reader()
    end = MIB // SECTOR
    image = filled(tmp_path / "image", b"\0", size_bytes=MIB)
    tables.write(image, tables.mbr((8, 16, 0x83), (16, 16, 0x83), (end - 4, 8, 0x83), (end, 8, 0x83)))
    with attach(image, number=number, status=Status(flags=Flag.PARTSCAN)):
        assert rawloop.partitions(number) == [1, 2, 3]
        assert [_size_in_sysfs(number, one) for one in (1, 2, 3)] == [16, 16, 4]


def test_f55_of_an_extended_partition_the_kernel_shows_two_sectors(tmp_path: Path, number: int) -> None:
    """Whoever adds it: its size in the table is that of all that it holds."""
    image = filled(tmp_path / "image", b"\0", size_bytes=MIB)
    tables.write(image, tables.mbr((8, 1000, 0x5)))
    with attach(image, number=number, status=Status(flags=Flag.PARTSCAN)) as loop:
        run(require_tool("partx"), "--update", loop.node)
        assert _size_in_sysfs(number, 1) == 2
        assert tables.by_partx(loop.node) == {1: (8 * SECTOR, 1000 * SECTOR)}


def test_f57_a_gpt_that_was_cut_short_is_no_table(tmp_path: Path, number: int) -> None:
    """Its header names a last sector that the device has not: libblkid takes none of its partitions."""
    image = tables.partitioned(tmp_path / "image", 4 * MIB, "label: gpt", "start=2048, size=8")
    with attach(image, number=number) as loop:
        assert list(tables.by_partx(loop.node)) == [1]
    os.truncate(image, 2 * MIB)
    with attach(image, number=number) as loop:
        assert tables.by_partx(loop.node) == {}


@pytest.mark.parametrize("is_open", [False, True])
def test_f56_configure_with_partscan_drops_stale_partitions_unless_one_is_open(
    tmp_path: Path, number: int, *, is_open: bool
) -> None:
    """One that somebody has open keeps them all, over the next image."""
    if is_open:
        require_lasting_partitions()
    with attach(filled(tmp_path / "one"), number=number) as loop:
        rawloop.add_partition(loop.held, 1, 4096, 4096)
        rawloop.add_partition(loop.held, 2, 8192, 4096)
        clear_as_only_opener(loop.held)
        loop.close()
        rawloop.wait_until(lambda: not loop.is_attached(), f"{loop.node} is free")
    with ExitStack() as stack:
        held = stack.enter_context(opened(rawloop.node(number, 1))) if is_open else None
        with attach(filled(tmp_path / "two", b"B"), number=number, status=Status(flags=Flag.PARTSCAN)):
            assert rawloop.partitions(number) == ([1, 2] if is_open else [])
            assert held is None or os.pread(held, 1, 0) == b"B"
            stack.close()


def _opened_while_dropped(image: Path, number: int) -> int | None:
    """Open the last of many partitions between the unbinding and its drop; None where that came too late."""
    status = Status(flags=Flag.PARTSCAN | Flag.AUTOCLEAR)
    with ExitStack() as stack, attach(image, number=number, status=status) as loop:
        for partition in range(1, MANY + 1):
            rawloop.add_partition(loop.held, partition, 4096 * partition, 4096)
        other = os.open(loop.node, os.O_RDONLY | os.O_CLOEXEC)
        loop.close()
        thread = threading.Thread(target=os.close, args=(other,))
        stack.callback(thread.join)
        thread.start()
        rawloop.wait_until(lambda: not rawloop.is_bound(number), f"{loop.node} is unbound")
        try:
            return os.open(rawloop.node(number, MANY), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENXIO):
                raise
            return None


def test_f61_a_partition_that_is_opened_while_it_is_dropped_shows_the_next_image(tmp_path: Path, number: int) -> None:
    """The open waits for the drop and succeeds; sysfs has no such partition, and it reads what comes next."""
    if not has_diskseq():
        pytest.skip("on 5.10 no such open succeeded, in three minutes of trying")
    one, two = filled(tmp_path / "one", size_bytes=MIB), filled(tmp_path / "two", b"B", size_bytes=MIB)
    held: list[int] = []

    def is_caught() -> bool:
        found = _opened_while_dropped(one, number)
        held.extend([] if found is None else [found])
        return found is not None

    rawloop.wait_until(is_caught, "an open in the moment of the drop")
    with attach(two, number=number, status=Status(flags=Flag.PARTSCAN)) as loop, ExitStack() as stack:
        stack.callback(os.close, held[0])  # it is an opener of the disk: no detach before its close
        assert rawloop.partitions(number) == []
        assert os.pread(held[0], 1, 0) == b"B"
        loop.close()
        assert loop.is_attached()


def test_f58_attaching_takes_no_capability(tmp_path: Path) -> None:
    """Root without any capability configures a loop device: it is enough to open the node and the image."""
    image = filled(tmp_path / "image")
    code = "import sys; from ntt_loops import Loops\nwith Loops(sys.argv[1]).attached(sys.argv[2]): print('attached')"
    setpriv = [require_tool("setpriv"), "--bounding-set", "-all", "--inh-caps", "-all"]
    assert run(*setpriv, sys.executable, "-c", code, tmp_path / "run", image) == "attached\n"
