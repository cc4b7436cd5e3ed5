"""Facts about LOOP_CONFIGURE, free numbers and identity; docs/kernel-facts.md has them all."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from tests.support import rawloop
from tests.support.features import require_diskseq
from tests.support.rawloop import SECTOR_BYTES, Flag, Status, attach, opened
from tests.support.rig import fails_with, far_number, filled, minor_shift, private_number, remove

TAG_BYTES = 63


def test_f01_two_callers_get_the_same_free_number_and_the_loser_ebusy(tmp_path: Path) -> None:
    """LOOP_CTL_GET_FREE reserves nothing: the loser of two callers gets EBUSY from CONFIGURE."""
    first, second = filled(tmp_path / "first"), filled(tmp_path / "second")
    # A third process may be the winner of a round; then there is another one.
    rawloop.wait_until(lambda: _lost_to(first, second), "two callers with one number to themselves")


def _lost_to(first: Path, second: Path) -> bool:
    number = rawloop.get_free()
    node = rawloop.node(number)
    gone_at_close = Status(flags=Flag.AUTOCLEAR)
    if rawloop.get_free() != number:
        return False
    with opened(first) as mine, opened(second) as other, opened(node) as winner, opened(node) as loser:
        try:
            rawloop.configure(winner, mine, gone_at_close)
        except OSError as error:
            assert error.errno == errno.EBUSY  # noqa: PT017 - any other one is a finding
            return False
        with fails_with(errno.EBUSY):
            rawloop.configure(loser, other, gone_at_close)
        return rawloop.backing_file(number) == os.fsencode(first)


def test_f02_ebadf_for_descriptor_minus_1_means_configure_is_supported() -> None:
    """LOOP_CONFIGURE with the image descriptor -1 says EBADF where the kernel has it, and changes nothing."""
    with opened(rawloop.node(rawloop.get_free())) as fd, fails_with(errno.EBADF):
        rawloop.configure(fd, -1)


def test_f02_configure_sets_flags_range_and_sector_size_in_one_step(tmp_path: Path) -> None:
    """LOOP_CONFIGURE takes flags, offset, size limit and sector size in one step, for a writable pair too."""
    flags = Flag.READ_ONLY | Flag.AUTOCLEAR | Flag.PARTSCAN
    asked = Status(flags=flags, offset=4096, size_limit=8192, file_name=b"tag")
    with attach(filled(tmp_path / "image"), writable=True, status=asked, sector_bytes=1024) as loop:
        said = rawloop.get_status(loop.held)
        assert dataclasses.replace(asked, device=said.device, inode=said.inode, number=loop.number) == said
        assert rawloop.size_bytes(loop.held) == 8192
        assert rawloop.sysfs(loop.number, "queue/logical_block_size") == b"1024"


def test_f02_configure_refuses_an_unknown_flag(tmp_path: Path) -> None:
    """LOOP_CONFIGURE refuses a flag that it cannot set: EINVAL."""
    with fails_with(errno.EINVAL), attach(filled(tmp_path / "image"), status=Status(flags=Flag.UNKNOWN)):
        pass


def test_f03_clr_fd_after_a_lost_configure_detaches_the_winner(tmp_path: Path) -> None:
    """LOOP_CLR_FD on a descriptor whose LOOP_CONFIGURE said EBUSY detaches the image of whoever won."""
    with attach(filled(tmp_path / "winner")) as winner, opened(filled(tmp_path / "loser")) as image:
        winner.close()
        with opened(winner.node) as loser:
            with fails_with(errno.EBUSY):
                rawloop.configure(loser, image)
            rawloop.clear(loser)
        rawloop.wait_until(lambda: not winner.is_attached(), "the winner's image is detached")


@pytest.mark.parametrize("name", [b"x" * TAG_BYTES, bytes(range(1, 64)), b"\xff\n /", b"x" * 64])
def test_f04_lo_file_name_keeps_63_bytes_of_anything(tmp_path: Path, name: bytes) -> None:
    """lo_file_name keeps 63 bytes of anything but NUL, whatever the image is called; a 64th is cut off."""
    with attach(filled(tmp_path / "image"), status=Status(file_name=name)) as loop:
        assert rawloop.get_status(loop.held).file_name == name[:TAG_BYTES]


def test_f04_lo_crypt_name_is_dropped(tmp_path: Path) -> None:
    """lo_crypt_name is accepted and forgotten."""
    with attach(filled(tmp_path / "image"), status=Status(crypt_name=b"kept?")) as loop:
        found = rawloop.get_status(loop.held).crypt_name
    if found == b"kept?":
        pytest.skip("this kernel has cryptoloop, which kept the name")
    assert found == b""


@pytest.mark.parametrize(("size_bytes", "seen"), [(0, 0), (1, 0), (511, 0), (512, 512), (1000, 512), (1024, 1024)])
def test_f05_size_is_rounded_down_to_sectors_of_512(tmp_path: Path, size_bytes: int, seen: int) -> None:
    """The device has the whole 512-byte sectors of the file: its last bytes are missing."""
    with attach(filled(tmp_path / "image", size_bytes=size_bytes)) as loop:
        assert rawloop.size_bytes(loop.held) == seen


def test_f05_an_offset_past_the_end_gives_size_0(tmp_path: Path) -> None:
    """An offset past the end of the file attaches with size 0 and without an error."""
    with attach(filled(tmp_path / "image"), status=Status(offset=1024 * 1024)) as loop:
        assert rawloop.size_bytes(loop.held) == 0


def test_f05_a_tail_smaller_than_the_sector_size_reads_eio(tmp_path: Path) -> None:
    """Sector size 4096 over a file that is no multiple counts the tail; reading it is EIO, or what older kernels do."""
    size_bytes = 4096 + 1024
    with attach(filled(tmp_path / "image", size_bytes=size_bytes), sector_bytes=4096) as loop:
        assert rawloop.size_bytes(loop.held) == size_bytes
        assert os.pread(loop.held, 4096, 0) == b"A" * 4096
        assert _read(loop.held, 1024, 4096) in (errno.EIO, b"A" * 1024)


def _read(descriptor: int, length: int, offset: int) -> bytes | int | None:
    """Return what is there, or the errno of reading it."""
    try:
        return os.pread(descriptor, length, offset)
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("sector_bytes", [1, 256, 513, 3000])
def test_f05_a_sector_size_must_be_a_power_of_two_from_512(tmp_path: Path, sector_bytes: int) -> None:
    """A sector size below 512 or no power of two is refused: EINVAL."""
    with fails_with(errno.EINVAL), attach(filled(tmp_path / "image"), sector_bytes=sector_bytes):
        pass


def test_f08_diskseq_rises_at_attach_change_fd_and_clear(tmp_path: Path) -> None:
    """The disk sequence number rises on each attach, CHANGE_FD and clear; sysfs and BLKGETDISKSEQ agree."""
    require_diskseq()
    with private_number() as number:
        seen = [_diskseq(number)]
        with (
            attach(filled(tmp_path / "one"), number=number) as loop,
            opened(filled(tmp_path / "two")) as image,
        ):
            assert rawloop.diskseq(loop.held) == loop.diskseq == _diskseq(number)
            seen.append(_diskseq(number))
            rawloop.change_fd(loop.held, image)
            loop.diskseq = rawloop.diskseq(loop.held)
            assert rawloop.backing_file(number) == os.fsencode(tmp_path / "two")
            seen.append(_diskseq(number))
        seen.append(_diskseq(number))
        assert seen == sorted(set(seen))


def _diskseq(number: int) -> int:
    return int(rawloop.sysfs(number, "diskseq") or b"")


def test_f09_opening_a_node_of_an_unknown_minor_creates_a_device(tmp_path: Path) -> None:
    """Opening a node whose minor belongs to no device creates one, which no close removes."""
    number = far_number()
    device = os.makedev(7, number << minor_shift())
    assert rawloop.sysfs(number, "dev") is None
    node = tmp_path / "node"
    os.mknod(node, 0o060600, device)
    try:
        with opened(node) as fd, fails_with(errno.ENXIO):
            rawloop.get_status(fd)
        assert rawloop.sysfs(number, "dev") == f"7:{os.minor(device)}".encode()
    finally:
        remove(number)


def test_f34_set_status64_works_on_a_bound_device(tmp_path: Path) -> None:
    """LOOP_SET_STATUS64 changes name and range of a bound device, for root through any descriptor."""
    with attach(filled(tmp_path / "image")) as loop:
        before = rawloop.get_status(loop.held)
        wanted = dataclasses.replace(before, offset=4096, size_limit=8192, file_name=b"renamed")
        rawloop.set_status(loop.held, wanted)
        assert rawloop.get_status(loop.held) == wanted
        assert rawloop.size_bytes(loop.held) == 8192


def test_f36_proc_partitions_lists_the_bound_loops_that_have_a_size(tmp_path: Path) -> None:
    """/proc/partitions lists a bound loop device of one sector, neither one of size 0 nor an unbound one."""
    with private_number() as number:
        assert not _is_in_proc_partitions(number)
        for size_bytes in (SECTOR_BYTES, SECTOR_BYTES - 1):
            with attach(filled(tmp_path / "image", size_bytes=size_bytes), number=number):
                assert _is_in_proc_partitions(number) == (size_bytes == SECTOR_BYTES)
        assert not _is_in_proc_partitions(number)


def _is_in_proc_partitions(number: int) -> bool:
    lines = Path("/proc/partitions").read_text().splitlines()
    return f"loop{number}" in [line.split()[3] for line in lines if line.strip()]


def test_f44_loop_ctl_remove_of_a_bound_or_open_device_is_ebusy(tmp_path: Path) -> None:
    """LOOP_CTL_REMOVE of a device that is bound, or merely open, says EBUSY."""
    with private_number() as number:
        with opened(rawloop.node(number)), fails_with(errno.EBUSY):
            rawloop.remove(number)
        with attach(filled(tmp_path / "image"), number=number) as loop:
            loop.close()
            with fails_with(errno.EBUSY):
                rawloop.remove(number)
