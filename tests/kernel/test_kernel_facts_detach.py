"""Facts about LOOP_CLR_FD: who stops it, what it leaves, and the state between it and the last close."""

from __future__ import annotations

import dataclasses
import errno
import os
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import as_nobody
from tests.support.features import has_rundown, require_rundown
from tests.support.images import make_image
from tests.support.rawloop import Attachment, Flag, Status, attach, clear_as_only_opener, opened
from tests.support.rig import fails_with, filled, mounted, private_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYSFS_ATTRIBUTES = ["autoclear", "backing_file", "dio", "offset", "partscan", "sizelimit"]


def _wait_until_gone(loop: Attachment) -> None:
    rawloop.wait_until(lambda: not loop.is_attached(), f"{loop.node} is free")


def test_f16_clr_fd_on_a_busy_device_returns_0_and_arms_autoclear(tmp_path: Path) -> None:
    """With another descriptor open CLR_FD returns 0, as often as one likes, sets AUTOCLEAR, and detaches nothing."""
    with attach(filled(tmp_path / "image")) as loop:
        with opened(loop.node) as other:
            for _ in range(2):
                rawloop.clear(other)
                assert rawloop.get_status(other).flags == Flag.READ_ONLY | Flag.AUTOCLEAR
        assert loop.is_attached()
        loop.close()
        _wait_until_gone(loop)


def test_f16_clr_fd_on_a_mounted_device_arms_it_for_the_umount(tmp_path: Path) -> None:
    """CLR_FD of a mounted device returns 0; a plain umount later frees the device silently."""
    with attach(make_image(tmp_path / "image")) as loop:
        with mounted(loop.node, tmp_path / "mnt", "-o", "ro"):
            rawloop.clear(loop.held)
            loop.close()
            assert loop.is_attached()
            assert rawloop.sysfs(loop.number, "loop/autoclear") == b"1"
        _wait_until_gone(loop)


def test_f16_clearing_autoclear_undoes_a_deferred_clr_fd(tmp_path: Path) -> None:
    """After a CLR_FD that other openers deferred, taking AUTOCLEAR away puts the device back as it was."""
    with attach(filled(tmp_path / "image")) as loop:
        before = rawloop.get_status(loop.held)
        with opened(loop.node) as other:
            rawloop.clear(other)
            rawloop.set_status(other, before)
        assert rawloop.get_status(loop.held) == before
        loop.close()
        assert loop.is_attached()


@pytest.fixture
def rundown(tmp_path: Path) -> Iterator[Attachment]:
    """A device with a partition after a CLR_FD that took, its only descriptor still open."""
    require_rundown()
    with private_number() as number, attach(filled(tmp_path / "image"), number=number) as loop:
        rawloop.add_partition(loop.held, 1, 4096, 8192)
        clear_as_only_opener(loop.held)
        yield loop
        loop.close()
        _wait_until_gone(loop)


def test_f17_clr_fd_as_the_only_opener_waits_for_the_close_since_6_11(tmp_path: Path) -> None:
    """As the only opener CLR_FD frees the device: inside the ioctl, and since 6.11 at the close that follows."""
    waits = has_rundown()  # asked before: it attaches a device, and the number may be free while ours is open
    with attach(filled(tmp_path / "image")) as loop:
        clear_as_only_opener(loop.held)
        assert loop.is_attached() == waits
        loop.close()
        _wait_until_gone(loop)


def test_f17_in_rundown_the_status_is_enxio_while_sysfs_shows_the_backing_file(rundown: Attachment) -> None:
    """In rundown GET_STATUS64 and CLR_FD are ENXIO on the very descriptor, and sysfs has the backing file."""
    with fails_with(errno.ENXIO):
        rawloop.get_status(rundown.held)
    with fails_with(errno.ENXIO):
        rawloop.clear(rundown.held)
    assert (rawloop.backing_file(rundown.number) or b"").endswith(b"/image")


def test_f35_opening_a_device_whose_detach_is_under_way_is_enxio(rundown: Attachment) -> None:
    """While another process's detach waits for its close, opening the node, or a partition's, is ENXIO."""
    for node in (rundown.node, rawloop.node(rundown.number, 1)):
        with fails_with(errno.ENXIO), opened(node):
            pass


def test_f35_opening_a_removed_device_is_enoent() -> None:
    """Where a tool removes a free device its node goes too, and opening it is ENOENT."""
    with private_number() as number:
        pass
    with fails_with(errno.ENOENT), opened(rawloop.node(number)):
        pass


def test_f39_sysfs_shows_six_attributes_until_the_last_close(rundown: Attachment) -> None:
    """The loop folder in sysfs has six attributes, in rundown too, where autoclear is 1; it goes with the close."""
    folder = os.scandir(f"/sys/block/loop{rundown.number}/loop")
    with folder:
        assert sorted(entry.name for entry in folder) == SYSFS_ATTRIBUTES
    assert rawloop.sysfs(rundown.number, "loop/autoclear") == b"1"
    rundown.close()
    rawloop.wait_until(lambda: not rawloop.is_bound(rundown.number), "the folder in sysfs is gone")


def test_f41_a_device_in_rundown_keeps_its_number_and_its_identity(rundown: Attachment) -> None:
    """In rundown GET_FREE skips the number, CONFIGURE and LOOP_CTL_REMOVE are EBUSY, and diskseq and size stay."""
    assert rawloop.get_free() != rundown.number
    with opened("/proc/version") as image, fails_with(errno.EBUSY):
        rawloop.configure(rundown.held, image)
    with fails_with(errno.EBUSY):
        rawloop.remove(rundown.number)
    assert rawloop.diskseq(rundown.held) == rundown.diskseq
    assert rawloop.size_bytes(rundown.held) == 64 * 1024


def test_f41_in_rundown_only_what_is_cached_can_be_read(rundown: Attachment) -> None:
    """What somebody had read before the CLR_FD - udev for one reads the beginning - is there, all else is EIO."""
    os.posix_fadvise(rundown.held, 0, 0, os.POSIX_FADV_DONTNEED)
    with fails_with(errno.EIO):
        os.pread(rundown.held, 512, 0)


def test_f41_what_was_read_before_the_rundown_can_be_read_in_it(tmp_path: Path) -> None:
    """It is in the page cache of the device."""
    require_rundown()
    with private_number() as number, attach(filled(tmp_path / "image"), number=number) as loop:
        assert os.pread(loop.held, 1, 0) == b"A"
        clear_as_only_opener(loop.held)
        assert os.pread(loop.held, 1, 0) == b"A"


def test_f41_partitions_of_a_device_in_rundown_can_be_deleted(rundown: Attachment) -> None:
    """Between a CLR_FD that took and the close BLKPG still deletes partitions."""
    rawloop.delete_partition(rundown.held, 1)
    assert rawloop.partitions(rundown.number) == []


def test_f19_an_open_partition_keeps_the_whole_device_bound(tmp_path: Path) -> None:
    """With a descriptor of a partition open CLR_FD of the disk is deferred, and AUTOCLEAR waits for it."""
    with private_number() as number, attach(filled(tmp_path / "image"), number=number) as loop:
        rawloop.add_partition(loop.held, 1, 4096, 8192)
        with opened(rawloop.node(number, 1)) as partition:
            rawloop.clear(loop.held)
            loop.close()
            assert loop.is_attached()
            assert os.pread(partition, 1, 0) == b"A"
        _wait_until_gone(loop)


def test_f20_clr_fd_needs_no_privilege_but_an_open_descriptor(tmp_path: Path) -> None:
    """CLR_FD on a read-only descriptor works without any privilege, whereas SET_STATUS64 there is EPERM."""
    with attach(filled(tmp_path / "image")) as loop:
        fd, status = loop.held, rawloop.get_status(loop.held)
        changed = dataclasses.replace(status, flags=status.flags | Flag.AUTOCLEAR)
        assert as_nobody(lambda: rawloop.set_status(fd, changed), keep=(fd,)) == "EPERM"
        assert as_nobody(lambda: rawloop.clear(fd), keep=(fd,)) == "None"
        loop.close()
        _wait_until_gone(loop)


def test_f22_only_the_detach_frees_the_space_of_an_unlinked_image(tmp_path: Path) -> None:
    """Unlinking a bound image frees no space of its file system; the detach does."""
    with mounted("none", tmp_path / "tmpfs", "-t", "tmpfs", "-o", "size=2m") as folder:
        empty = os.statvfs(folder).f_bfree
        image = filled(folder / "image", size_bytes=1024 * 1024)
        full = os.statvfs(folder).f_bfree
        with attach(image):
            image.unlink()
            assert os.statvfs(folder).f_bfree == full
        rawloop.wait_until(lambda: os.statvfs(folder).f_bfree == empty, "the space is free again")


def test_f40_the_claim_of_one_releaser_keeps_out_another(tmp_path: Path) -> None:
    """While one O_EXCL descriptor is open a second O_EXCL open is EBUSY, in one process too; plain ones are not."""
    claim = os.O_RDONLY | os.O_EXCL
    with attach(filled(tmp_path / "image"), status=Status()) as loop, opened(loop.node, claim):
        with fails_with(errno.EBUSY), opened(loop.node, claim):
            pass
        with opened(loop.node, os.O_RDONLY) as plain:
            assert rawloop.diskseq(plain) == loop.diskseq
