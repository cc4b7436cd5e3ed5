"""What only the kernel in memory has. The rest is the contract that it shares with the real one."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ntt_loops._kernel import LoopConfig, StuckError
from ntt_loops._kernel.descriptors import open_descriptor
from ntt_loops.testing import MemoryKernel, _backing
from tests.support.guard import open_descriptors
from tests.support.rig import fails_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops._kernel import Handle

KEPT = LoopConfig(b"kept")
ARMED = LoopConfig(b"armed", autoclear=True)
PID = 5_000_000


@pytest.fixture
def kernel() -> MemoryKernel:
    """A new machine."""
    return MemoryKernel()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of 64 sectors."""
    path = tmp_path / "server" / "image"
    path.parent.mkdir()
    path.write_bytes(bytes(64 * 512))
    return path


def attach(kernel: MemoryKernel, image: Path, config: LoopConfig = KEPT, *, writable: bool = False) -> Handle:
    """Attach to the lowest free number."""
    handle = kernel.open(kernel.get_free(), writable=writable)
    try:
        with open_descriptor(image, os.O_RDWR if writable else os.O_RDONLY) as file:
            kernel.configure(handle, file, config)
    except OSError:
        handle.close()
        raise
    return handle


def test_testing_needs_no_linux() -> None:
    """The package is imported without what only Linux has."""
    code = "import sys, ntt_loops.testing; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    names = {name.removeprefix("ntt_loops._kernel.") for name in done.stdout.split()}
    assert not names & {"linux", "ioctls", "abi", "sysfs", "mountinfo"}


# -- numbers


def test_numbers_are_handed_out_lowest_first(kernel: MemoryKernel, image: Path) -> None:
    """A number that was let go is the next one again."""
    handles = [attach(kernel, image, ARMED) for _ in range(3)]
    assert kernel.bound_numbers() == [0, 1, 2]
    handles[1].close()
    assert kernel.get_free() == 1
    for handle in handles:
        handle.close()


def test_devices_are_made_when_they_are_asked_for(image: Path) -> None:
    """Beyond the first devices a number comes into being by GET_FREE, or by ``next_free``."""
    kernel = MemoryKernel(devices=1)
    kernel.attach_foreign(image)
    with fails_with(errno.ENOENT):
        kernel.open(1)
    assert kernel.get_free() == 1
    assert kernel.next_free(6) == 7
    kernel.open(7).close()


def test_devices_run_out(image: Path) -> None:
    """With ``max_devices`` bound there is ENOSPC, until one goes."""
    kernel = MemoryKernel(devices=1, max_devices=2)
    handles = [attach(kernel, image, ARMED) for _ in range(2)]
    with fails_with(errno.ENOSPC):
        kernel.get_free()
    with fails_with(errno.ENOSPC):
        kernel.next_free(1)
    handles[0].close()
    assert kernel.get_free() == 0
    handles[1].close()


def test_numbers_end(kernel: MemoryKernel) -> None:
    """A minor number has 20 bits: beyond the last one there is EINVAL."""
    assert kernel.next_free((1 << 20) - 2) == (1 << 20) - 1
    with fails_with(errno.EINVAL):
        kernel.next_free((1 << 20) - 1)


def test_threads_race_for_numbers_as_processes_do(kernel: MemoryKernel, image: Path) -> None:
    """Nothing reserves a number; whoever loses is told EBUSY, and no number is bound twice."""
    done: list[int] = []

    def attach_some() -> None:
        while len(done) < 200:
            try:
                handle = attach(kernel, image, ARMED)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                continue
            done.append(kernel.get_status(handle).number)
            handle.close()

    threads = [threading.Thread(target=attach_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernel.bound_numbers() == []


# -- kernels of another age


def test_without_diskseq_there_is_none(image: Path) -> None:
    """Before 5.15 neither sysfs nor the ioctl has it (F8)."""
    kernel = MemoryKernel(rundown=False, diskseq=False)
    handle = attach(kernel, image)
    assert kernel.get_diskseq(handle) is None
    assert kernel.diskseq(0) is None
    found = kernel.look(0)
    assert found is not None
    assert found.diskseq is None
    handle.close()


def test_reboot_leaves_nothing(kernel: MemoryKernel, image: Path) -> None:
    """Another boot id, nothing bound or mounted, handles closed - and diskseq and start times come again."""
    handle, before = attach(kernel, image), (kernel.boot_id(), kernel.diskseq(0), kernel.process())
    kernel.mount(0, "/mnt")
    kernel.reboot()
    assert kernel.boot_id() != before[0]
    assert kernel.bound_numbers() == []
    assert kernel.mounts() == []
    assert handle.closed
    assert kernel.process() == before[2]
    again = attach(kernel, image)
    assert kernel.diskseq(0) == before[1]
    again.close()


# -- handles and processes


def test_handle_collected_open_warns_and_closes(kernel: MemoryKernel, image: Path) -> None:
    """As a file does."""
    lost = [attach(kernel, image, ARMED)]
    assert repr(lost[0]) == "<MemoryHandle of loop0, open>"
    with pytest.warns(ResourceWarning, match="unclosed loop0"):
        lost.clear()
    assert not kernel.is_bound(0)


def test_handle_of_another_kernel_is_refused(kernel: MemoryKernel, image: Path) -> None:
    """A real descriptor is none of this kernel's."""
    with io.FileIO(image) as file, pytest.raises(TypeError, match="another kernel"):
        kernel.get_status(file)


def test_collected_kernel_leaves_no_descriptor(image: Path) -> None:
    """What was bound is closed with it, without a warning."""
    before = open_descriptors()
    kernel = MemoryKernel()
    kernel.attach_foreign(image)
    assert len(open_descriptors()) == len(before) + 1
    del kernel
    assert open_descriptors() == before


def test_killed_process_lets_go(kernel: MemoryKernel, image: Path) -> None:
    """SIGKILL closes its handles: an AUTOCLEAR device goes with it (F11)."""
    with kernel.as_process(PID, "stage") as process:
        handle = attach(kernel, image, ARMED)
        assert kernel.process() == process
        assert kernel.command(PID) == "stage"
    assert kernel.process().pid == os.getpid()
    (opener,) = kernel.openers(frozenset({kernel.rdev(0) or 0}))
    assert (opener.pid, opener.command) == (PID, "stage")
    assert kernel.is_alive(process) is True
    kernel.kill(PID)
    assert handle.closed
    assert not kernel.is_bound(0)
    assert kernel.is_alive(process) is False
    assert kernel.command(PID) == ""


def test_pid_that_comes_back_is_another_process(kernel: MemoryKernel) -> None:
    """Its start time tells the two apart."""
    with kernel.as_process(PID) as first:
        pass
    kernel.kill(PID)
    with kernel.as_process(PID) as second:
        assert kernel.process() == second != first
    assert kernel.is_alive(first) is False


def test_process_is_played_by_one_thread(kernel: MemoryKernel) -> None:
    """Two threads can be two processes at once."""
    seen: list[int] = []
    with kernel.as_process(PID):
        thread = threading.Thread(target=lambda: seen.append(kernel.process().pid))
        thread.start()
        thread.join()
    assert seen == [os.getpid()]


def test_handle_elsewhere_needs_no_reference_here(kernel: MemoryKernel, image: Path) -> None:
    """Another process keeps its descriptor, whatever is collected in this one."""
    kernel.attach_foreign(image, autoclear=True, pid=PID)
    kernel.open_elsewhere(0, pid=PID + 1, command="less")
    kernel.kill(PID)
    assert [opener.command for opener in kernel.openers(frozenset({kernel.rdev(0) or 0}))] == ["less"]
    kernel.kill(PID + 1)
    assert not kernel.is_bound(0)


def test_foreign_attachment_can_have_any_name(kernel: MemoryKernel, image: Path) -> None:
    """Also that of a tag; and it can be writable."""
    number = kernel.attach_foreign(image, name=b"tag", read_only=False, partscan=False)
    handle = kernel.open(number)
    status = kernel.get_status(handle)
    assert (status.name, status.read_only, status.partscan, status.autoclear) == (b"tag", False, False, False)
    handle.close()


def test_foreign_attachment_that_fails_leaves_the_device_free(kernel: MemoryKernel) -> None:
    """What is no regular file is EINVAL for losetup, too."""
    with fails_with(errno.EINVAL):
        kernel.attach_foreign(os.devnull)
    kernel.open(0, exclusive=True).close()


# -- mounts


def test_namespace_without_a_process_cannot_be_read(kernel: MemoryKernel, image: Path) -> None:
    """Its mount is not listed, but it claims and keeps the device (F23, F25)."""
    handle = attach(kernel, image, ARMED)
    kernel.mount(0, "/mnt", ours=False)
    handle.close()
    assert kernel.mounts() == []
    with fails_with(errno.EBUSY):
        kernel.open(0, exclusive=True)
    kernel.unmount_elsewhere("/mnt")
    assert not kernel.is_bound(0)


def test_namespace_goes_with_its_last_process(kernel: MemoryKernel, image: Path) -> None:
    """And its mounts with it."""
    kernel.attach_foreign(image)
    kernel.mount(0, "/mnt", ours=False, pid=PID)
    assert [(mount.pid, mount.is_ours) for mount in kernel.mounts()] == [(PID, False)]
    kernel.kill(PID)
    assert kernel.mounts() == []
    kernel.open(0, exclusive=True).close()


def test_what_is_not_mounted_cannot_be_taken_away(kernel: MemoryKernel) -> None:
    """A test that is mistaken about its world is told so."""
    with fails_with(errno.EINVAL):
        kernel.unmount_elsewhere("/mnt")


@pytest.mark.parametrize("use", [MemoryKernel.swap_on, lambda kernel, where: kernel.mount(where, "/mnt")])
def test_unbound_device_cannot_be_used(kernel: MemoryKernel, use: Callable[[MemoryKernel, int], None]) -> None:
    """Nothing is on it."""
    with fails_with(errno.ENXIO):
        use(kernel, 0)


def test_device_mapper_holds_a_partition(kernel: MemoryKernel, image: Path) -> None:
    """What is stacked on a partition is a holder of the disk, and keeps it."""
    handle = attach(kernel, image, ARMED)
    kernel.add_partition(0, 1, 512, 512)
    kernel.stack_dm((0, 1), "vg-home")
    handle.close()
    assert kernel.sysfs_holders(0) == [("dm-0", "vg-home")]
    kernel.unstack("vg-home")
    assert not kernel.is_bound(0)


def test_loop_device_is_stacked_on_a_partition(kernel: MemoryKernel, image: Path) -> None:
    """Its backing file is the partition's node."""
    attach(kernel, image).close()
    kernel.add_partition(0, 1, 512, 1024)
    upper = kernel.stack_loop((0, 1))
    found = kernel.look(upper)
    assert found is not None
    assert found.backing_file == b"/dev/loop0p1"
    assert kernel.size_bytes(upper) == 1024
    rdev = kernel.partitions(0)[0].rdev
    assert kernel.loops_on(frozenset({rdev})) == [(upper, rdev)]


@pytest.mark.parametrize(
    ("start_bytes", "size_bytes", "number"),
    [(100, 512, errno.EINVAL), (0, 65 * 512, errno.EINVAL), (1024, 512, errno.EBUSY), (8192, 512, errno.EBUSY)],
)
def test_partition_that_cannot_be(
    kernel: MemoryKernel, image: Path, start_bytes: int, size_bytes: int, number: int
) -> None:
    """Whole sectors, on the disk, over no other, and under a number of its own."""
    kernel.attach_foreign(image)
    kernel.add_partition(0, 1, 512, 1024)
    with fails_with(number):
        kernel.add_partition(0, 1, start_bytes, size_bytes)
    with fails_with(errno.ENOENT):
        kernel.open_elsewhere((0, 2))


# -- lost writes


def test_lost_write_is_told_once(kernel: MemoryKernel, image: Path) -> None:
    """The first flush says EIO, the next one that all is well (F18)."""
    handle = attach(kernel, image, writable=True)
    kernel.fail_flush(0)
    with fails_with(errno.EIO):
        kernel.flush(handle)
    kernel.flush(handle)
    handle.close()


# -- storage that does not answer


def touching_calls(kernel: MemoryKernel, handle: Handle, image: Path) -> list[Callable[[float | None], object]]:
    """Return the calls that touch the image."""
    return [
        lambda within: kernel.get_status(handle, within=within),
        lambda within: kernel.set_autoclear(handle, on=True, within=within),
        lambda within: kernel.flush(handle, within=within),
        lambda within: kernel.file_id(bytes(image), within=within),
        lambda within: kernel.real_path(bytes(image), within=within),
    ]


def test_hung_storage_is_stuck_and_never_asked_in_process(kernel: MemoryKernel, image: Path) -> None:
    """A call with ``within`` is stuck; one without would hang the caller, which is its mistake (F21)."""
    handle = attach(kernel, image)
    kernel.hang(image.parent)
    for call in touching_calls(kernel, handle, image):
        with pytest.raises(StuckError, match="does not answer"):
            call(0.1)
        with pytest.raises(AssertionError, match="within"):
            call(None)
    kernel.unhang(image.parent)
    for call in touching_calls(kernel, handle, image):
        call(None)
    handle.close()


def test_hung_storage_leaves_the_rest_alone(kernel: MemoryKernel, image: Path) -> None:
    """Sysfs, diskseq, the claim and CLR_FD of an idle device answer (F21)."""
    attach(kernel, image).close()
    kernel.hang(image.parent)
    assert kernel.is_bound(0)
    assert kernel.diskseq(0) is not None
    handle = kernel.open(0, exclusive=True)
    assert kernel.get_diskseq(handle) is not None
    handle.close()
    assert kernel.may_hang([bytes(image), bytes(image.parent) + b"-b", b"/"]) == [True, False, False]


@pytest.mark.parametrize(
    ("config", "is_writable"),
    [(ARMED, False), (LoopConfig(b"", read_only=False), True)],
    ids=["unbinds", "writes back"],
)
def test_close_that_hangs_is_left_behind(
    kernel: MemoryKernel, image: Path, config: LoopConfig, *, is_writable: bool
) -> None:
    """The handle is closed, the device stays until the storage answers."""
    handle = attach(kernel, image, config, writable=is_writable)
    kernel.hang(image.parent)
    with pytest.raises(AssertionError, match="within"):
        handle.close()
    assert not handle.closed
    with pytest.raises(StuckError):
        kernel.close(handle, within=0.1)
    assert handle.closed
    assert kernel.is_bound(0)
    kernel.unhang(image.parent)
    assert kernel.is_bound(0) is not config.autoclear


def test_unmount_of_hung_storage_is_stuck(kernel: MemoryKernel, image: Path) -> None:
    """The mount stays."""
    kernel.attach_foreign(image)
    kernel.mount(0, "/mnt")
    kernel.hang(image.parent)
    with pytest.raises(StuckError):
        kernel.unmount(b"/mnt", within=0.1)
    assert len(kernel.mounts()) == 1


def test_remote_storage_may_hang_but_answers(kernel: MemoryKernel, image: Path) -> None:
    """A server that is up gives its answers, in process or not."""
    kernel.remote(image.parent)
    assert kernel.may_hang([bytes(image)]) == [True]
    assert kernel.file_id(bytes(image)) == kernel.file_id(bytes(image), within=0.1)


# -- paths where there is no /proc


def test_path_is_told_without_proc(kernel: MemoryKernel, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where descriptors have no links the path that was opened is compared with the file (F28)."""
    monkeypatch.setattr(_backing, "DESCRIPTORS", "/nowhere")

    def backing_file() -> bytes:
        found = kernel.look(0)
        assert found is not None
        return found.backing_file

    kernel.attach_foreign(image)
    assert backing_file() == bytes(image)
    other = image.rename(image.with_name("other"))
    assert backing_file() == bytes(image) + b" (deleted)"
    image.write_bytes(b"new")
    assert backing_file() == bytes(image) + b" (deleted)"
    other.replace(image)
    assert backing_file() == bytes(image)


def test_path_that_nobody_knows_is_empty(kernel: MemoryKernel, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor alone has no path there."""
    monkeypatch.setattr(_backing, "DESCRIPTORS", "/nowhere")
    handle = kernel.open(0)
    with io.FileIO(os.open(image, os.O_RDONLY)) as file:
        kernel.configure(handle, file, KEPT)
    found = kernel.look(0)
    assert found is not None
    assert found.backing_file == b""
    handle.close()
