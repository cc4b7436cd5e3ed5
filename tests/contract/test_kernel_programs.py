"""What programs do: finding a file system, mounting it, and who works there."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._kernel import Kernel
    from tests.support.world import Ability, Attached, World

SECONDS = 20.0
SAFE = "ro,noload"


@pytest.fixture
def one(world: World) -> Attached:
    """An attached ext4."""
    return world.attach(world.image(content="ext4"))


@pytest.fixture
def point(world: World) -> bytes:
    """An empty folder."""
    path = world.new_path("point")
    path.mkdir()
    return bytes(path)


def test_a_file_system_is_found(kernel: Kernel, one: Attached) -> None:
    """Its type and what that is used for; there is no table."""
    found = kernel.probe(kernel.node(one.number), within=SECONDS)
    assert (found.type, found.usage, found.table) == ("ext4", "filesystem", "")


def test_swap_space_is_found(world: World, kernel: Kernel) -> None:
    """Swap space is no file system."""
    one = world.attach(world.image(content="swap"))
    found = kernel.probe(kernel.node(one.number), within=SECONDS)
    assert (found.type, found.usage) == ("swap", "other")


def test_nothing_is_found(world: World, kernel: Kernel) -> None:
    """A mere pattern is nothing."""
    one = world.attach(world.image())
    assert kernel.probe(kernel.node(one.number), within=SECONDS) == Probe()


def test_it_is_looked_for_where_it_was_said(world: World, kernel: Kernel, one: Attached) -> None:
    """A byte further on is another place, and behind the end is nothing."""
    inner = world.attach(one.image, LoopConfig(b"contract", offset_bytes=512))
    assert kernel.probe(kernel.node(inner.number), within=SECONDS) == Probe()
    for offset_bytes in (512, 16384, 1 << 40):
        assert kernel.probe(kernel.node(one.number), offset_bytes=offset_bytes, within=SECONDS) == Probe()


def test_it_is_mounted(world: World, kernel: Kernel, one: Attached, point: bytes) -> None:
    """The mount is seen, claims the device, and goes by umount."""
    kernel.mount_node(kernel.node(one.number), point, fstype="ext4", options=SAFE, within=SECONDS)
    (mount,) = [found for found in kernel.mounts(only_ours=True) if found.mount_point == point]
    assert (mount.rdev, mount.fstype, mount.is_ours) == (kernel.rdev(one.number), "ext4", True)
    assert point in kernel.mount_points()
    assert world.is_claimed(one.number)
    kernel.unmount(point, within=SECONDS)
    assert point not in kernel.mount_points()


def test_the_first_type_that_fits_is_taken(kernel: Kernel, one: Attached, point: bytes) -> None:
    """Of several types each is tried."""
    kernel.mount_node(kernel.node(one.number), point, fstype="squashfs,ext4", options="ro", within=SECONDS)
    assert [found.fstype for found in kernel.mounts() if found.mount_point == point and found.is_ours] == ["ext4"]
    kernel.unmount(point, within=SECONDS)


@pytest.mark.parametrize("fstype", ["squashfs", "squashfs,erofs"])
def test_what_does_not_fit_is_not_mounted(kernel: Kernel, one: Attached, point: bytes, fstype: str) -> None:
    """Another file system than it is: mount's own text."""
    with pytest.raises(OSError, match="wrong fs type") as caught:
        kernel.mount_node(kernel.node(one.number), point, fstype=fstype, options="ro", within=SECONDS)
    assert caught.value.errno == errno.EIO
    assert point not in kernel.mount_points()


def test_a_mount_point_that_is_missing(kernel: Kernel, one: Attached, point: bytes) -> None:
    """It says so."""
    with pytest.raises(OSError, match="mount point does not exist"):
        kernel.mount_node(kernel.node(one.number), point + b"x", fstype="ext4", options=SAFE, within=SECONDS)


def test_a_device_that_is_missing(kernel: Kernel, point: bytes) -> None:
    """It says so."""
    with pytest.raises(OSError, match="does not exist"):
        kernel.mount_node("/dev/loop999999", point, fstype="ext4", options=SAFE, within=SECONDS)


@pytest.mark.parametrize("name", [b"a b", b"a\nb", b"\xff", b"back\\slash", b"-t", b"#"])
def test_odd_mount_points(world: World, kernel: Kernel, one: Attached, name: bytes) -> None:
    """A mount point may have any name."""
    folder = world.folder / os.fsdecode(name)
    folder.mkdir()
    place = bytes(folder)
    kernel.mount_node(kernel.node(one.number), place, fstype="ext4", options=SAFE, within=SECONDS)
    assert place in kernel.mount_points()
    kernel.unmount(place, within=SECONDS)


def test_who_works_there(world: World, kernel: Kernel, one: Attached) -> None:
    """A process with something open on the file system is found, by its pid and what that is; without one, nobody."""
    rdev = kernel.rdev(one.number)
    assert rdev is not None
    world.mount(one.number)
    assert kernel.users(frozenset((rdev,))) == []
    mounted = world.mount(one.number, busy=True)
    (user,) = kernel.users(frozenset((rdev,)))
    assert (user.pid, user.path, user.rdev) == (kernel.process().pid, mounted.point, rdev)
    assert user.command == kernel.command(user.pid)
    assert kernel.users(frozenset((rdev + 1,))) == []


def test_what_is_stacked(world: World, kernel: Kernel, one: Attached, can: Callable[[Ability], None]) -> None:
    """A device-mapper device has a name, a number, and what it stands on; stopped it is gone."""
    can("device mapper")
    world.stack_dm(one.number, "ntt-loops-contract")
    ((name, own_name),) = kernel.sysfs_holders(one.number)
    found = kernel.stacked(name)
    assert found is not None
    assert (found.name, found.own_name, own_name) == (name, "ntt-loops-contract", "ntt-loops-contract")
    assert found.slaves == {kernel.rdev(one.number)}
    assert len(found.rdevs) == 1
    assert found.holders == ()
    kernel.stop_stacked(name, within=SECONDS)
    assert kernel.stacked(name) is None
    assert kernel.sysfs_holders(one.number) == []
    kernel.stop_stacked(name, within=SECONDS)


def test_what_is_not_stacked(kernel: Kernel) -> None:
    """A device of another kind, or none at all."""
    assert kernel.stacked("dm-999999") is None
    assert kernel.stacked("loop0") is None
