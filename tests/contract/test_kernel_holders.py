"""Who uses a device beside its mounts: processes, swap, device mapper, other loop devices."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig
from tests.support.oracle import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._kernel import Kernel
    from tests.support.world import Ability, Attached, World


@pytest.fixture
def one(world: World) -> Attached:
    """An attached ext4."""
    return world.attach(world.image(content="ext4"))


def rdev(kernel: Kernel, number: int) -> int:
    """Return the number of a device that is there."""
    found = kernel.rdev(number)
    assert found is not None
    return found


# -- processes


def test_this_process_is_an_opener(world: World, kernel: Kernel, one: Attached) -> None:
    """With its pid, command and the path, once however often it has it open."""
    world.open(one.number)
    (opener,) = kernel.openers(frozenset({rdev(kernel, one.number)}))
    assert opener.pid == kernel.process().pid
    assert opener.command == kernel.command(opener.pid)
    assert opener.path == os.fsencode(kernel.node(one.number))
    assert opener.rdev == kernel.rdev(one.number)


def test_other_processes_are_openers(world: World, kernel: Kernel, one: Attached) -> None:
    """Each process and path is told once; of a partition, too."""
    world.add_partition(one.number, 1, 0, 512)
    one.handle.close()
    whole, part = world.open_elsewhere(one.number), world.open_elsewhere((one.number, 1))
    rdevs = frozenset({rdev(kernel, one.number), kernel.partitions(one.number)[0].rdev})
    found = {opener.pid: (opener.path, opener.rdev) for opener in kernel.openers(rdevs)}
    assert found[whole.pid] == (os.fsencode(kernel.node(one.number)), kernel.rdev(one.number))
    assert found[part.pid] == (os.fsencode(kernel.node(one.number, 1)), kernel.partitions(one.number)[0].rdev)
    assert [opener.pid for opener in kernel.openers(rdevs - {rdev(kernel, one.number)})] == [part.pid]
    whole.close()
    assert whole.pid not in {opener.pid for opener in kernel.openers(rdevs)}


def test_one_process_can_be_asked_about_alone(world: World, kernel: Kernel, one: Attached) -> None:
    """With a pid only its descriptors are told, and none of a process that is gone."""
    other, rdevs = world.open_elsewhere(one.number), frozenset({rdev(kernel, one.number)})
    assert [opener.pid for opener in kernel.openers(rdevs, pid=other.pid)] == [other.pid]
    assert [opener.pid for opener in kernel.openers(rdevs, pid=kernel.process().pid)] == [kernel.process().pid]
    other.close()
    assert kernel.openers(rdevs, pid=other.pid) == []


def test_nobody_has_an_idle_device_open(world: World, kernel: Kernel, one: Attached) -> None:
    """A mount is no process."""
    one.handle.close()
    world.mount(one.number)
    rdevs = frozenset({rdev(kernel, one.number)})
    wait_until(lambda: kernel.openers(rdevs) == [], "no stranger looks")


# -- swap, device mapper, loop devices


def test_swap_is_listed_and_claims(world: World, kernel: Kernel, can: Callable[[Ability], None]) -> None:
    """A swap area is an opener with a claim, until swapoff (F23)."""
    can("swap")
    one = world.attach(world.image(content="swap"), LoopConfig(b"", read_only=False), writable=True)
    world.swap_on(one.number)
    assert (rdev(kernel, one.number), os.fsencode(kernel.node(one.number))) in kernel.swaps()
    assert world.is_claimed(one.number)
    kernel.clear(one.handle)
    one.handle.close()
    assert world.is_attached(one)
    world.swap_off(one.number)
    assert kernel.rdev(one.number) not in dict(kernel.swaps())
    world.wait_until_gone(one)


def test_device_mapper_is_a_holder(world: World, kernel: Kernel, can: Callable[[Ability], None]) -> None:
    """What is stacked is named by the kernel's name and its own, and claims the device."""
    can("device mapper")
    one, name = world.attach(), f"ntt-loops-{secrets.token_hex(4)}"
    world.stack_dm(one.number, name)
    ((kernel_name, own_name),) = kernel.sysfs_holders(one.number)
    assert own_name == name
    assert kernel_name.startswith("dm-")
    assert world.is_claimed(one.number)
    world.unstack(name)
    assert kernel.sysfs_holders(one.number) == []


def test_nothing_is_stacked_on_most_devices(kernel: Kernel, one: Attached) -> None:
    """No holders is an empty list."""
    assert kernel.sysfs_holders(one.number) == []
    assert kernel.loops_on(frozenset({rdev(kernel, one.number)})) == []


def test_stacked_loop_is_found(world: World, kernel: Kernel, one: Attached) -> None:
    """A loop device on this one names its node as backing file, and only ``loops_on`` sees it."""
    upper = world.stack_loop(one.number)
    assert kernel.loops_on(frozenset({rdev(kernel, one.number)})) == [(upper, rdev(kernel, one.number))]
    found = kernel.look(upper)
    assert found is not None
    assert found.backing_file == os.fsencode(kernel.node(one.number))
    assert kernel.size_bytes(upper) == kernel.size_bytes(one.number)
    assert os.getpid() not in {opener.pid for opener in kernel.openers(frozenset({rdev(kernel, upper)}))}


def test_stacked_loop_is_an_opener_without_a_claim(world: World, kernel: Kernel, one: Attached) -> None:
    """The lower device can be claimed (F23), CLR_FD only arms it, and it goes with the upper one."""
    upper = world.stack_loop(one.number)
    world.open(one.number, exclusive=True).close()
    kernel.clear(one.handle)
    assert kernel.get_status(one.handle).autoclear
    one.handle.close()
    assert world.is_attached(one)
    handle = world.open(upper)
    world.clear_alone(handle)
    handle.close()
    world.wait_until_gone(one)
