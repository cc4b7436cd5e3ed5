"""Mounts: where they are seen, what they hold, and how they end."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support.rig import fails_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._kernel import Kernel, Mount
    from tests.support.world import Ability, Attached, Mounted, World

ARMED = LoopConfig(b"", autoclear=True)
UMOUNT_SECONDS = 60.0


@pytest.fixture
def one(world: World) -> Attached:
    """An attached ext4."""
    return world.attach(world.image(content="ext4"))


def mounts_at(kernel: Kernel, mounted: Mounted) -> list[Mount]:
    """Return the mounts on a point, without the copies in namespaces that strangers make meanwhile."""
    return [mount for mount in kernel.mounts() if (mount.mount_point, mount.pid) == (mounted.point, mounted.pid)]


def test_mount_is_listed_with_its_device(world: World, kernel: Kernel, one: Attached) -> None:
    """A mount says what is mounted where, as what, and that it is of this namespace."""
    mounted = world.mount(one.number)
    (mount,) = mounts_at(kernel, mounted)
    assert mount.rdev == kernel.rdev(one.number)
    assert mount.source == os.fsencode(kernel.node(one.number))
    assert mount.fstype == "ext4"
    assert mount.is_ours
    assert mount.pid == kernel.process().pid
    assert mount.command == kernel.command(mount.pid)


def test_mount_claims_the_device(world: World, kernel: Kernel, one: Attached) -> None:
    """A mounted device cannot be claimed (F23)."""
    mounted = world.mount(one.number)
    assert world.is_claimed(one.number)
    kernel.unmount(mounted.point, within=UMOUNT_SECONDS)
    world.wait_until_unclaimed(one.number)


def test_mount_keeps_the_device(world: World, kernel: Kernel) -> None:
    """A mount is an opener: AUTOCLEAR detaches at the umount (F11)."""
    one = world.attach(world.image(content="ext4"), ARMED)
    mounted = world.mount(one.number)
    one.handle.close()
    assert world.is_attached(one)
    kernel.unmount(mounted.point, within=UMOUNT_SECONDS)
    world.wait_until_gone(one)


def test_clear_of_a_mounted_device_only_arms(world: World, kernel: Kernel, one: Attached) -> None:
    """A plain umount then frees it silently (F16)."""
    mounted = world.mount(one.number)
    kernel.clear(one.handle)
    assert kernel.get_status(one.handle).autoclear
    one.handle.close()
    kernel.unmount(mounted.point, within=UMOUNT_SECONDS)
    world.wait_until_gone(one)


def test_mounted_partition_holds_the_disk(world: World, kernel: Kernel, one: Attached) -> None:
    """Its mount has the partition's device number, and claims the whole device too (F23)."""
    world.add_partition(one.number, 1, 0, kernel.size_bytes(one.number))
    mounted = world.mount((one.number, 1))
    (mount,) = mounts_at(kernel, mounted)
    assert mount.rdev == kernel.partitions(one.number)[0].rdev
    assert mount.source == os.fsencode(kernel.node(one.number, 1))
    assert world.is_claimed(one.number)
    with fails_with(errno.EBUSY):
        kernel.delete_partition(one.handle, 1)


def test_mount_in_another_namespace_is_seen(
    world: World, kernel: Kernel, one: Attached, can: Callable[[Ability], None]
) -> None:
    """It is listed with a process that lives there, is not ours, claims all the same, and umount cannot reach it."""
    can("mount namespaces")
    mounted = world.mount(one.number, ours=False)
    (mount,) = mounts_at(kernel, mounted)
    assert mount.pid == mounted.pid
    assert mount.command == kernel.command(mounted.pid) != ""
    assert not mount.is_ours
    assert world.is_claimed(one.number)
    with pytest.raises(OSError, match="not mounted"):
        kernel.unmount(mounted.point, within=UMOUNT_SECONDS)


def test_unmount_of_nothing_is_an_error(world: World, kernel: Kernel) -> None:
    """Umount's own text says why."""
    folder = world.new_path("empty")
    folder.mkdir()
    with pytest.raises(OSError, match="not mounted") as caught:
        kernel.unmount(bytes(folder), within=UMOUNT_SECONDS)
    assert not isinstance(caught.value, TimeoutError)


def test_busy_mount_cannot_be_unmounted(world: World, kernel: Kernel, one: Attached) -> None:
    """A file in use below it is EBUSY, and it stays."""
    mounted = world.mount(one.number, busy=True)
    with pytest.raises(OSError, match="busy") as caught:
        kernel.unmount(mounted.point, within=UMOUNT_SECONDS)
    assert caught.value.errno == errno.EBUSY
    assert len(mounts_at(kernel, mounted)) == 1


def test_of_stacked_mounts_the_last_goes_first(world: World, kernel: Kernel, one: Attached) -> None:
    """Two devices on one mount point are unmounted one by one."""
    lower = world.mount(one.number)
    upper = world.attach(world.image(content="ext4"))
    world.mount(upper.number, point=lower.point)
    kernel.unmount(lower.point, within=UMOUNT_SECONDS)
    assert [mount.rdev for mount in mounts_at(kernel, lower)] == [kernel.rdev(one.number)]


def test_covered_mount_is_told(world: World, kernel: Kernel, one: Attached) -> None:
    """Of two mounts on one mount point the earlier one is covered, and both are listed."""
    lower = world.mount(one.number)
    assert [mount.is_covered for mount in mounts_at(kernel, lower)] == [False]
    upper = world.attach(world.image(content="ext4"))
    world.mount(upper.number, point=lower.point)
    covered = {mount.rdev: mount.is_covered for mount in mounts_at(kernel, lower)}
    assert covered == {kernel.rdev(one.number): True, kernel.rdev(upper.number): False}


def test_mount_point_with_blanks(world: World, kernel: Kernel, one: Attached) -> None:
    """A mount point may hold what mountinfo escapes."""
    folder = world.folder / "a b\\c"
    folder.mkdir()
    mounted = world.mount(one.number, point=bytes(folder))
    assert len(mounts_at(kernel, mounted)) == 1
    kernel.unmount(mounted.point, within=UMOUNT_SECONDS)
    assert mounts_at(kernel, mounted) == []
