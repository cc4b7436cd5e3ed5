"""Attaching: free numbers, LOOP_CONFIGURE, and what it leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support.oracle import wait_until
from tests.support.rig import fails_with
from tests.support.world import IMAGE_BYTES, PLAIN

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

BEYOND = 1 << 40
NO_NUMBER = 999_999


def test_get_free_names_a_device_that_is_not_bound(kernel: Kernel) -> None:
    """A free number has nothing bound, unless somebody was faster since."""
    wait_until(lambda: not kernel.is_bound(kernel.get_free()), "a free number that nobody takes")


def test_get_free_reserves_nothing(kernel: Kernel) -> None:
    """Two callers in a row are told the same number, as long as nobody else takes it (F1)."""
    wait_until(lambda: kernel.get_free() == kernel.get_free(), "the same free number twice")


def test_get_free_skips_what_is_bound(world: World, kernel: Kernel) -> None:
    """A number with something bound is never handed out."""
    one = world.attach()
    assert kernel.get_free() != one.number


def test_next_free_is_higher_and_can_be_opened(world: World, kernel: Kernel) -> None:
    """The next free number is above the given one, has nothing bound, and exists."""
    number = world.new_number()
    following = world.next_free(number - 1)
    assert following >= number
    assert not kernel.is_bound(following)
    assert not world.open(following).closed


def test_next_free_skips_what_is_bound(world: World) -> None:
    """A bound number is passed over."""
    one = world.attach()
    assert world.next_free(one.number - 1) > one.number


def test_open_of_a_missing_device_is_enoent(kernel: Kernel) -> None:
    """A device that was never made cannot be opened, and the error names it."""
    with pytest.raises(FileNotFoundError, match=f"{kernel.node(NO_NUMBER)}'$"):
        kernel.open(NO_NUMBER)


def test_configure_binds_the_image(world: World, kernel: Kernel) -> None:
    """GET_STATUS64 says what was asked for, and (dev, inode) of the image (F29)."""
    config = LoopConfig(b"a tag", autoclear=True, partscan=True, offset_bytes=4096, size_limit_bytes=8192)
    one = world.attach(config=config)
    status, image = kernel.get_status(one.handle), one.image.stat()
    assert (status.backing_dev, status.backing_inode) == (image.st_dev, image.st_ino)
    assert (status.number, status.name) == (one.number, b"a tag")
    assert (status.offset_bytes, status.size_limit_bytes) == (4096, 8192)
    assert status.read_only
    assert status.autoclear
    assert status.partscan


def test_configure_sets_no_flag_unasked(world: World, kernel: Kernel) -> None:
    """Without PARTSCAN and AUTOCLEAR neither is set."""
    one = world.attach(config=LoopConfig(b"", partscan=False))
    status = kernel.get_status(one.handle)
    assert not status.autoclear
    assert not status.partscan


def test_name_is_kept_to_its_last_byte(world: World, kernel: Kernel) -> None:
    """63 bytes of anything but NUL come back as they were (F4)."""
    name = b"\xff\n " + b"x" * 60
    assert kernel.get_status(world.attach(config=LoopConfig(name)).handle).name == name


def test_status_is_the_same_in_a_child(world: World, kernel: Kernel) -> None:
    """With ``within`` the answer is the same."""
    one = world.attach()
    assert kernel.get_status(one.handle, within=20.0) == kernel.get_status(one.handle)


@pytest.mark.parametrize("is_read_only", [True, False])
@pytest.mark.parametrize("is_image_writable", [True, False])
@pytest.mark.parametrize("is_device_writable", [True, False])
def test_device_is_writable_only_if_all_are(
    world: World, kernel: Kernel, *, is_device_writable: bool, is_image_writable: bool, is_read_only: bool
) -> None:
    """A read-only descriptor of the image or of the device makes it read-only, whatever was asked (F6)."""
    handle = world.open(world.new_number(), writable=is_device_writable)
    file = world.file(world.image(), writable=is_image_writable)
    kernel.configure(handle, file, LoopConfig(b"", read_only=is_read_only))
    is_writable = is_device_writable and is_image_writable and not is_read_only
    assert kernel.get_status(handle).read_only is not is_writable


def test_read_only_device_can_be_opened_for_writing(world: World) -> None:
    """Only the write fails, not the open (F7)."""
    assert not world.open(world.attach().number, writable=True).closed


@pytest.mark.parametrize(
    ("image_bytes", "config", "size_bytes"),
    [
        (1000, PLAIN, 512),
        (511, PLAIN, 0),
        (0, PLAIN, 0),
        (8192, LoopConfig(b"", offset_bytes=512), 7680),
        (8192, LoopConfig(b"", offset_bytes=1), 7680),
        (8192, LoopConfig(b"", offset_bytes=BEYOND), 0),
        (8192, LoopConfig(b"", size_limit_bytes=1000), 512),
        (8192, LoopConfig(b"", size_limit_bytes=BEYOND), 8192),
        (8192, LoopConfig(b"", sector_size_bytes=4096), 8192),
    ],
)
def test_size_is_whole_sectors(
    world: World, kernel: Kernel, image_bytes: int, config: LoopConfig, size_bytes: int
) -> None:
    """Size is what lies between offset and limit, rounded down to 512, without an error (F5)."""
    one = world.attach(world.image(image_bytes), config)
    assert kernel.get_size_bytes(one.handle) == size_bytes
    assert kernel.size_bytes(one.number) == size_bytes


@pytest.mark.parametrize("sector_size_bytes", [256, 1000, 1536])
def test_bad_sector_size_is_einval(world: World, kernel: Kernel, sector_size_bytes: int) -> None:
    """A sector is a power of two from 512, and a refused device stays free."""
    number = world.new_number()
    config = LoopConfig(b"", sector_size_bytes=sector_size_bytes)
    with fails_with(errno.EINVAL):
        kernel.configure(world.open(number), world.file(world.image()), config)
    assert not kernel.is_bound(number)


@pytest.mark.parametrize("config", [LoopConfig(b"", offset_bytes=1 << 63), LoopConfig(b"", size_limit_bytes=1 << 63)])
def test_offset_that_is_no_offset_is_eoverflow(world: World, kernel: Kernel, config: LoopConfig) -> None:
    """Offset and limit are signed 64 bits, and a refused device stays free."""
    number = world.new_number()
    with fails_with(errno.EOVERFLOW):
        kernel.configure(world.open(number), world.file(world.image()), config)
    assert not kernel.is_bound(number)


def test_character_device_is_einval(world: World, kernel: Kernel) -> None:
    """What is no regular file cannot be bound (F6)."""
    number = world.new_number()
    with fails_with(errno.EINVAL):
        kernel.configure(world.open(number), world.file(Path(os.devnull)), PLAIN)
    assert not kernel.is_bound(number)


def test_bound_device_is_ebusy(world: World, kernel: Kernel) -> None:
    """The loser of a race for a number is told so, and what is bound stays (F1)."""
    one = world.attach()
    with fails_with(errno.EBUSY):
        kernel.configure(world.open(one.number), world.file(world.image()), PLAIN)
    assert world.is_attached(one)


def test_device_claimed_by_another_is_ebusy(world: World, kernel: Kernel) -> None:
    """Under a claim nobody else can bind (F24)."""
    number = world.new_number()
    world.open(number, exclusive=True)
    with fails_with(errno.EBUSY):
        kernel.configure(world.open(number), world.file(world.image()), PLAIN)


def test_claimer_can_configure(world: World) -> None:
    """The claim's own descriptor can bind, other openers or not."""
    assert world.is_attached(world.attach(exclusive=True))


def test_configure_needs_an_open_image(world: World, kernel: Kernel) -> None:
    """A closed image is the caller's mistake."""
    file = world.file(world.image())
    file.close()
    with pytest.raises(ValueError, match="closed"):
        kernel.configure(world.open(world.new_number()), file, PLAIN)


def test_image_descriptor_is_not_needed_any_more(world: World, kernel: Kernel) -> None:
    """The kernel has a reference of its own to the image, also to one that is deleted (F22)."""
    one = world.attach()
    one.image.unlink()
    assert kernel.get_status(one.handle).number == one.number
    assert kernel.get_size_bytes(one.handle) == IMAGE_BYTES


def test_one_image_can_be_bound_twice(world: World) -> None:
    """The kernel does not mind: that is how devices pile up."""
    first = world.attach()
    second = world.attach(first.image)
    assert first.number != second.number
    assert world.is_attached(first)


def test_diskseq_rises_with_each_attach(world: World, kernel: Kernel) -> None:
    """Sysfs and ioctl agree on a number that no other attachment has (F8)."""
    number = world.new_number()
    before = kernel.diskseq(number)
    handle = world.open(number)
    kernel.configure(handle, world.file(world.image()), PLAIN)
    after = kernel.get_diskseq(handle)
    assert kernel.diskseq(number) == after
    if not world.has_diskseq:
        assert after is None
    else:
        assert before is not None
        assert after is not None
        assert after > before


def test_foreign_attachment_looks_like_any_other(world: World, kernel: Kernel) -> None:
    """What losetup(8) attached has the path as its name, and is seen the same way."""
    image = world.image()
    number = world.attach_foreign(image)
    status = kernel.get_status(world.open(number))
    assert status.name == os.fsencode(image)[:63]
    assert (status.read_only, status.autoclear, status.partscan) == (True, False, True)
    found = kernel.look(number)
    assert found is not None
    assert found.backing_file == os.fsencode(image)
