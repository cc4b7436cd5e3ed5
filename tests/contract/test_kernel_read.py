"""Reading what a device shows, on every kernel."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from tests.support.images import PATTERN
from tests.support.world import PLAIN

if TYPE_CHECKING:
    from ntt_loops._kernel import Handle, Kernel
    from tests.support.world import World


def test_what_is_read_is_the_image(world: World, kernel: Kernel) -> None:
    """At any place, and again once nothing is cached; at the end of the device there is nothing."""
    one = world.attach()
    image = one.image.read_bytes()
    assert kernel.read(one.handle, 512, 4096) == image[512:4608]
    kernel.drop_cache(one.handle)
    assert kernel.read(one.handle, 0, 700) == image[:700]
    assert kernel.read(one.handle, len(image) - 100, 4096) == image[-100:]
    assert kernel.read(one.handle, len(image), 1) == b""
    world.detach(one)


def test_an_offset_and_a_limit_are_those_of_the_device(world: World, kernel: Kernel) -> None:
    """The first byte that is read is the one at the offset, the last one that before the limit."""
    one = world.attach(config=attrs.evolve(PLAIN, offset_bytes=512, size_limit_bytes=1024))
    assert kernel.read(one.handle, 0, 4096) == one.image.read_bytes()[512:1536]
    world.detach(one)


def test_a_deleted_image_is_read_as_before(world: World, kernel: Kernel) -> None:
    """The device has it as long as it is bound; no tail that is no whole sector."""
    image = world.image(size_bytes=4096 + 100)
    one = world.attach(image)
    content = image.read_bytes()
    image.unlink()
    assert kernel.read(one.handle, 0, 8192) == content[:4096]
    world.detach(one)


def test_a_stacked_device_shows_the_one_below(world: World, kernel: Kernel) -> None:
    """A loop device on a loop device."""
    one = world.attach()
    upper = world.open(world.stack_loop(one.number))
    assert kernel.read(upper, 512, 512) == PATTERN
    upper.close()


def test_nothing_is_read_of_a_device_without_an_image(world: World, kernel: Kernel) -> None:
    """EIO, or nothing at all, never bytes."""
    handle = world.open(world.new_number())
    assert _read(kernel, handle) == b""


def _read(kernel: Kernel, handle: Handle) -> bytes:
    try:
        return kernel.read(handle, 0, 512)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
