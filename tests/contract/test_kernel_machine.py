"""The machine, its processes, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from ntt_loops._kernel.machine import CAPABILITIES, MINORS, TOOLS

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel
    from tests.support.world import World

NO_PID = 4_194_303
CHILD_SECONDS = 60.0


def test_boot_id_stays_the_same(kernel: Kernel) -> None:
    """One boot has one id."""
    assert kernel.boot_id() == kernel.boot_id() != ""


def test_uptime_never_goes_back(kernel: Kernel) -> None:
    """Seconds since boot only grow."""
    before = kernel.uptime()
    assert 0 <= before <= kernel.uptime()


def test_this_process_lives(kernel: Kernel) -> None:
    """The calling process is the same at each call, and alive."""
    assert kernel.process() == kernel.process()
    assert kernel.is_alive(kernel.process()) is True
    assert kernel.command(kernel.process().pid) != ""


def test_process_is_more_than_its_pid(kernel: Kernel) -> None:
    """Another start time is another process, and one of another pid namespace cannot be seen."""
    process = kernel.process()
    assert kernel.is_alive(attrs.evolve(process, start_ticks=process.start_ticks + 1)) is False
    assert kernel.is_alive(attrs.evolve(process, pid_namespace=process.pid_namespace + 1)) is None


def test_missing_process_is_dead_and_nameless(kernel: Kernel) -> None:
    """A pid that nobody has is no error."""
    assert kernel.is_alive(attrs.evolve(kernel.process(), pid=NO_PID)) is False
    assert kernel.command(NO_PID) == ""


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_file_id_is_that_of_stat(world: World, kernel: Kernel, within: float | None) -> None:
    """(dev, inode), symlinks followed."""
    image, link = world.image(), world.new_path("link")
    link.symlink_to(image)
    expected = image.stat().st_dev, image.stat().st_ino
    assert kernel.file_id(bytes(image), within=within) == expected
    assert kernel.file_id(bytes(link), within=within) == expected


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_file_id_of_nothing_is_enoent(world: World, kernel: Kernel, within: float | None) -> None:
    """A missing file is an error, in a child as well."""
    with pytest.raises(FileNotFoundError):
        kernel.file_id(bytes(world.new_path("missing")), within=within)


@pytest.mark.parametrize("within", [None, CHILD_SECONDS])
def test_real_path_needs_no_file(world: World, kernel: Kernel, within: float | None) -> None:
    """Symlinks are followed as far as there is something, and the rest is kept."""
    folder, link = world.folder.resolve(), world.new_path("link")
    link.symlink_to(folder)
    assert kernel.real_path(bytes(link / "gone"), within=within) == bytes(folder / "gone")


def test_local_storage_does_not_hang(world: World, kernel: Kernel) -> None:
    """Each path gets its own answer."""
    image = bytes(world.image())
    assert kernel.may_hang([]) == []
    assert kernel.may_hang([image, image + b".gone"]) == [False, False]


def test_nodes_are_named_as_in_dev(kernel: Kernel) -> None:
    """A device and its partition have the usual paths."""
    assert str(kernel.node(7)) == "/dev/loop7"
    assert str(kernel.node(7, 2)) == "/dev/loop7p2"


def test_a_machine_has_a_release_and_every_tool_is_looked_for(kernel: Kernel) -> None:
    """Each program once, in a fixed order; there is a limit to the numbers, which both calls agree on."""
    machine = kernel.machine(b"/run/ntt-loops")
    assert [int(part) for part in machine.release.split(".")[:2]] > [5, 7]
    assert tuple(tool.name for tool in machine.tools) == TOOLS
    assert 0 < machine.number_limit == kernel.number_limit() <= MINORS
    assert machine.capabilities <= set(CAPABILITIES)
