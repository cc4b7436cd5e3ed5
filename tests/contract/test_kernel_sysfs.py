"""What is seen without opening a device."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

NO_NUMBER = 999_999


def backing_file(kernel: Kernel, number: int) -> bytes:
    """Return what is bound."""
    found = kernel.look(number)
    assert found is not None
    return found.backing_file


def test_look_says_what_is_bound(world: World, kernel: Kernel) -> None:
    """Number, diskseq and path are those of the attachment."""
    one = world.attach()
    found = kernel.look(one.number)
    assert found is not None
    assert (found.number, found.diskseq) == (one.number, one.diskseq)
    assert found.backing_file == bytes(one.image)


def test_unbound_device_has_nothing(world: World, kernel: Kernel) -> None:
    """A device without an image is not bound, of no size and without partitions, but it has a number."""
    number = world.new_number()
    assert not kernel.is_bound(number)
    assert kernel.look(number) is None
    assert number not in kernel.bound_numbers()
    assert kernel.size_bytes(number) == 0
    assert kernel.partitions(number) == []
    assert kernel.rdev(number) is not None


def test_missing_device_has_nothing_at_all(kernel: Kernel) -> None:
    """A number without a device is no error to ask for."""
    assert not kernel.is_bound(NO_NUMBER)
    assert kernel.look(NO_NUMBER) is None
    assert kernel.diskseq(NO_NUMBER) is None
    assert kernel.rdev(NO_NUMBER) is None
    assert kernel.size_bytes(NO_NUMBER) == 0
    assert kernel.partitions(NO_NUMBER) == []
    assert kernel.sysfs_holders(NO_NUMBER) == []


def test_bound_numbers_are_sorted_and_have_the_empty_ones(world: World, kernel: Kernel) -> None:
    """A device of size 0 is bound as well (F36)."""
    numbers = [world.attach().number, world.attach(world.image(0)).number, world.attach().number]
    found = kernel.bound_numbers()
    assert found == sorted(found)
    assert set(numbers) <= set(found)
    assert all(kernel.is_bound(number) for number in numbers)


def test_each_device_has_a_device_number_of_its_own(world: World, kernel: Kernel) -> None:
    """It is the node's st_rdev, where there is a node."""
    first, second = world.new_number(), world.attach().number
    third = world.next_free(second)
    assert len({kernel.rdev(number) for number in (first, second, third)} - {None}) == len({first, second, third})


def test_renamed_image_is_followed(world: World, kernel: Kernel) -> None:
    """Sysfs says the path as it is now."""
    one = world.attach()
    renamed = one.image.rename(world.new_path("renamed"))
    assert backing_file(kernel, one.number) == bytes(renamed)


def test_renamed_folder_is_followed(world: World, kernel: Kernel) -> None:
    """The path is made anew at each look, from its folders' present names."""
    folder = world.new_path("folder")
    folder.mkdir()
    image = world.image().rename(folder / "image")
    one = world.attach(image)
    moved = folder.rename(world.new_path("moved"))
    assert backing_file(kernel, one.number) == bytes(moved / "image")


def test_deleted_image_is_marked(world: World, kernel: Kernel) -> None:
    """The old path has " (deleted)" behind it, also where a new file stands there (F28)."""
    one = world.attach()
    one.image.unlink()
    assert backing_file(kernel, one.number) == bytes(one.image) + b" (deleted)"
    one.image.write_bytes(b"another")
    assert backing_file(kernel, one.number) == bytes(one.image) + b" (deleted)"


def test_deleted_means_the_entry_not_the_file(world: World, kernel: Kernel) -> None:
    """An image with a second link looks deleted once the first is gone, though its file lives (F28)."""
    one = world.attach()
    second = world.new_path("link")
    second.hardlink_to(one.image)
    one.image.unlink()
    assert backing_file(kernel, one.number) == bytes(one.image) + b" (deleted)"
    status, found = kernel.get_status(one.handle), second.stat()
    assert (status.backing_dev, status.backing_inode) == (found.st_dev, found.st_ino)


def test_symlink_to_an_image_is_not_what_is_bound(world: World, kernel: Kernel) -> None:
    """Sysfs names the file behind it."""
    image, link = world.image(), world.new_path("symlink")
    link.symlink_to(image)
    assert backing_file(kernel, world.attach(link).number) == bytes(image)


@pytest.mark.parametrize("name", [b"two words", b"line\nbreak", b"ends (deleted)", b"tail\n", b"\xff\xfe", b"a\\040b"])
def test_any_name_comes_back_as_it_is(world: World, kernel: Kernel, name: bytes) -> None:
    """Nothing is escaped or cut off (F27)."""
    image = world.image().rename(os.fsdecode(bytes(world.folder) + b"/" + name))
    assert backing_file(kernel, world.attach(image).number) == bytes(image)


def test_path_too_long_for_the_kernel_is_empty(world: World, kernel: Kernel) -> None:
    """A path over one page is not told, and the device is bound all the same."""
    folder = os.open(world.folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("x" * 250, dir_fd=folder)
        deeper = os.open("x" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    image = Path(f"/proc/self/fd/{folder}/image")
    image.write_bytes(bytes(512))
    one = world.attach(image, LoopConfig(b"", autoclear=True))
    os.close(folder)
    assert backing_file(kernel, one.number) == b""
    assert one.number in kernel.bound_numbers()
