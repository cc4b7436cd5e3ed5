"""How long partitions live: never longer than their image, and never on somebody else's."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest

from ntt_loops import DeviceBusyError, Loops, LoopUnavailableError
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._kernel.linux import LinuxKernel
from tests.support import oracle, rawloop, tables
from tests.support.features import require_lasting_partitions
from tests.support.forked import elsewhere, forks
from tests.support.interrupts import PACKAGE, interrupt
from tests.support.kernels import PinnedKernel
from tests.support.media import by_losetup, is_bound, new_image, partitions_left
from tests.support.rawloop import Flag, Status, clear_as_only_opener
from tests.support.rig import private_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops import LoopDevice
    from ntt_loops._kernel import Handle, TableEntry

MIB = 1024 * 1024
MANY = 60
CYCLES = 5
#: One in so many points is interrupted: each takes a whole attach.
STRIDE = 3


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with three partitions."""
    path = new_image(tmp_path, size_bytes=MIB)
    tables.write(path, tables.mbr((8, 100, 0x83), (108, 100, 0x83), (208, 100, 0x7)))
    return path


def _numbers(device: LoopDevice) -> list[int]:
    return [one.number for one in device.partitions if one.status == "ok"]


def test_none_is_left_by_a_block(loops: Loops, image: Path) -> None:
    """Scoped: they go with the device, at its last close."""
    with loops.attached(image) as device:
        assert _numbers(device) == [1, 2, 3]
    assert partitions_left(device) == []


@pytest.mark.parametrize("writable", [False, True])
def test_none_is_left_by_a_release(loops: Loops, image: Path, *, writable: bool) -> None:
    """Kept: they go with the release, and a look before it does not make the device busy."""
    device = loops.attach_kept(image, writable=writable)
    assert _numbers(device) == [1, 2, 3]
    loops.release(device)
    assert partitions_left(device) == []


def _be_killed(loops: Loops, image: Path, say: Callable[[object], None]) -> NoReturn:
    with loops.attached(image) as device:
        say((str(device), _numbers(device)))
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_none_is_left_by_a_process_that_is_killed(loops: Loops, image: Path) -> None:
    """SIGKILL after the table was read: the kernel takes the device, and the partitions with it."""
    with forks() as start:
        child = start(partial(_be_killed, loops, image))
        node, numbers = child.hear()
        assert child.wait() == -signal.SIGKILL
    assert numbers == [1, 2, 3]
    oracle.wait_until(lambda: not oracle.bound_devices(image), "it is gone")
    oracle.wait_until(lambda: not oracle.partition_nodes(node), "and its partitions")


def test_one_that_is_held_open_keeps_them_all(loops: Loops, image: Path) -> None:
    """A busy device is not detached, and its partitions stay, until it can be."""
    device = loops.attach_kept(image)
    with rawloop.opened(device.partition(2).path):
        with pytest.raises(DeviceBusyError, match=f"{device}p2"):
            loops.release(device, timeout=0.1)
        assert _numbers(device) == [1, 2, 3]
    loops.release(device)
    assert partitions_left(device) == []


def test_processes_that_read_at_once_all_see_them(loops: Loops, tmp_path: Path) -> None:
    """Whoever loses the race for a partition finds it there: the same list for all, and each partition once."""
    image = tables.partitioned(
        new_image(tmp_path), 4 * MIB, "label: gpt", *(f"start={2048 + 8 * one}, size=8" for one in range(MANY))
    )
    device = loops.attach_kept(image)
    with forks() as start:
        children = [start(lambda _: [(one.number, one.status) for one in device.partitions]) for _ in range(4)]
        heard = [child.hear() for child in children]
    assert heard == [[(number, "ok") for number in range(1, MANY + 1)]] * 4
    assert len(oracle.partition_nodes(str(device))) == MANY
    loops.release(device)


def _close_after(handle: Handle, other: int) -> None:
    """Close a descriptor right after the library has closed its own."""
    while not handle.closed:
        os.sched_yield()
    os.close(other)


def test_the_exit_comes_after_the_drop(tmp_path: Path) -> None:
    """Where another one's close is the last, the kernel drops the partitions after sysfs shows the device as free."""
    image = tables.partitioned(
        new_image(tmp_path), 4 * MIB, "label: gpt", *(f"start={2048 + 8 * one}, size=8" for one in range(MANY))
    )
    with private_number() as number:
        attachment = Loops(tmp_path / "run", PinnedKernel({number: rawloop.node(number)})).attached(image)
        for _ in range(CYCLES):
            with attachment as device:
                assert len(device.partitions) == MANY
                assert attachment._binding is not None
                others = attachment._binding.handle, os.open(device, os.O_RDONLY | os.O_CLOEXEC)
                thread = threading.Thread(target=_close_after, args=others)
                thread.start()
            left = rawloop.partitions(number)
            thread.join()
            assert left == []


def test_a_stranger_on_the_number_is_not_touched(tmp_path: Path, image: Path) -> None:
    """An old LoopDevice lists nothing of what another image has on its number, and adds nothing there."""
    with private_number() as number:
        loops = Loops(tmp_path / "run", PinnedKernel({number: rawloop.node(number)}))
        device = loops.attach_kept(image)
        loops.release(device)
        with rawloop.attach(image, number=number, status=Status(flags=Flag.PARTSCAN)) as stranger:
            before = rawloop.partitions(number)
            assert device.partitions == ()
            with pytest.raises(LookupError):
                device.partition(1)
            assert rawloop.partitions(number) == before
            assert stranger.is_attached()


class _Disturbed(LinuxKernel):
    """Has the device detached by losetup(8) while the table is read."""

    def partition_table(self, handle: Handle, *, within: float) -> list[TableEntry]:
        """Read it between two detaches of others."""
        table = super().partition_table(handle, within=within)
        oracle.losetup_detach(str(self.disturbed))
        return table

    disturbed = ""


def test_a_detach_while_the_table_is_read_waits_for_the_reader(tmp_path: Path, image: Path) -> None:
    """The number cannot change hands meanwhile, so that nothing is added to what comes next; then all of it goes."""
    kernel = _Disturbed()
    device = Loops(tmp_path / "run", kernel).attach_kept(image)
    kernel.disturbed = str(device)
    assert _numbers(device) == [1, 2, 3]
    oracle.wait_until(lambda: not is_bound(device), "the detach takes at the reader's close")
    assert not oracle.bound_devices(image)
    Loops(tmp_path / "run").release_all(device.medium)


def _leave_stale(folder: Path, number: int) -> None:
    """Leave partition 1 of an old image on a number that is free again."""
    require_lasting_partitions()
    with rawloop.attach(new_image(folder), number=number) as old:
        rawloop.add_partition(old.held, 1, 4096, 4096)
        clear_as_only_opener(old.held)
        old.close()
        rawloop.wait_until(lambda: not old.is_attached(), f"{old.node} is free")
    assert rawloop.partitions(number) == [1]


def test_stale_partitions_are_purged(tmp_path: Path, image: Path) -> None:
    """What an image without PARTSCAN left on the number is gone before the device is handed out."""
    with private_number() as number:
        _leave_stale(tmp_path, number)
        loops = Loops(tmp_path / "run", PinnedKernel({number: rawloop.node(number)}))
        with loops.attached(image) as device:
            assert device.number == number
            assert [one.start_bytes for one in device.partitions] == [8 * 512, 108 * 512, 208 * 512]


def test_a_stale_partition_that_is_open_makes_the_number_unfit(tmp_path: Path, image: Path) -> None:
    """It cannot be deleted (EBUSY), so another number is taken; where there is none, that is an error."""
    with private_number() as one, private_number() as another:
        number, other = sorted((one, another))
        _leave_stale(tmp_path, number)
        with rawloop.opened(rawloop.node(number, 1)):
            pool = {number: rawloop.node(number), other: rawloop.node(other)}
            with Loops(tmp_path / "run", PinnedKernel(pool)).attached(image) as device:
                assert device.number == other
            alone = PinnedKernel({number: rawloop.node(number)})
            with pytest.raises(LoopUnavailableError):
                Loops(tmp_path / "run", alone).attach_kept(image, timeout=0.2)
        assert rawloop.partitions(number) == [1]
    assert not oracle.bound_devices(image)


def _read_interrupted(run_dir: Path, image: Path) -> None:
    notes: list[str] = []
    try:
        with Loops(run_dir).attached(image) as device:
            assert device.partitions
    except KeyboardInterrupt as error:
        notes = getattr(error, "__notes__", [])
        raise
    finally:
        assert notes == []  # the exit was not kept waiting by a descriptor of our own


def _all_over(run_dir: Path, image: Path) -> int:
    warnings.simplefilter("ignore", ResourceWarning)
    at = 1
    while interrupt(partial(_read_interrupted, run_dir, image), at, f"{PACKAGE}/_attachment/partitions"):
        oracle.wait_until(lambda: not oracle.bound_to_path(image), f"point {at}: it is gone")
        assert open_numbers() == [], f"point {at}"
        at += STRIDE
    return at


def test_ctrl_c_while_the_table_is_read_leaves_nothing(tmp_path: Path, image: Path) -> None:
    """All over it: the descriptor that pins the device is closed, so that the exit detaches it at once."""
    assert elsewhere(lambda: _all_over(tmp_path / "run", image)) > 20


def test_foreign_partitions_without_partscan_go_with_the_release(loops: Loops, image: Path) -> None:
    """Those of a device that losetup made without -P are deleted once the detach took."""
    device = by_losetup(image, "-r")
    oracle.run("partx", "--add", device)
    assert len(oracle.partition_nodes(device)) == 3
    loops.release_all(image)
    assert partitions_left(device) == []
