"""Facts about how long a device stays bound, and what keeps a binding from changing."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.children import children
from tests.support.features import has_diskseq
from tests.support.images import make_image
from tests.support.oracle import run
from tests.support.rawloop import Attachment, Flag, Status, attach, opened
from tests.support.rig import fails_with, filled, mounted, private_number

if TYPE_CHECKING:
    from pathlib import Path

SCOPED = Status(flags=Flag.AUTOCLEAR)


def _wait_until_gone(loop: Attachment) -> None:
    rawloop.wait_until(lambda: not loop.is_attached(), f"{loop.node} is free")


def _set_autoclear(fd: int, *, on: bool) -> None:
    status = rawloop.get_status(fd)
    flags = status.flags | Flag.AUTOCLEAR if on else status.flags & ~Flag.AUTOCLEAR
    rawloop.set_status(fd, dataclasses.replace(status, flags=flags))


def test_f11_autoclear_frees_the_device_at_the_last_close(tmp_path: Path) -> None:
    """With AUTOCLEAR the device stays bound while a descriptor is open and is free after the last close."""
    with attach(filled(tmp_path / "image"), status=SCOPED) as loop:
        with opened(loop.node):
            loop.close()
            assert loop.is_attached()
        _wait_until_gone(loop)


def test_f11_without_autoclear_the_device_outlives_the_last_close(tmp_path: Path) -> None:
    """Without AUTOCLEAR closing detaches nothing."""
    with attach(filled(tmp_path / "image")) as loop:
        loop.close()
        assert loop.is_attached()


def test_f11_sigkill_of_the_owner_frees_its_autoclear_device(tmp_path: Path) -> None:
    """SIGKILL of the process that holds the only descriptor of an AUTOCLEAR device frees the device."""
    with attach(filled(tmp_path / "image"), status=SCOPED) as loop, children() as start:
        owner = start(signal.pause, keep=(loop.held,))
        loop.close()
        assert loop.is_attached()
        os.kill(owner.pid, signal.SIGKILL)
        _wait_until_gone(loop)


def test_f11_a_mount_counts_as_an_opener(tmp_path: Path) -> None:
    """A mounted AUTOCLEAR device whose descriptors are all closed is freed by the umount."""
    with attach(make_image(tmp_path / "image"), status=SCOPED) as loop:
        with mounted(loop.node, tmp_path / "mnt", "-o", "ro"):
            loop.close()
            assert loop.is_attached()
        _wait_until_gone(loop)


def test_f11_the_device_of_a_lazily_unmounted_file_system_goes_with_its_last_file(tmp_path: Path) -> None:
    """After `umount -l` an AUTOCLEAR device stays until the last open file of that file system is closed."""
    with attach(make_image(tmp_path / "image", files={"f": b"x"}), status=SCOPED) as loop:
        with mounted(loop.node, tmp_path / "mnt", "-o", "ro") as folder:
            loop.close()
            with opened(folder / "f"):
                run("umount", "--lazy", folder)
                assert loop.is_attached()
        _wait_until_gone(loop)


def test_f11_autoclear_set_later_takes_effect_at_the_next_close(tmp_path: Path) -> None:
    """AUTOCLEAR set by SET_STATUS64 on a device that nobody else has open makes it vanish at that close."""
    with attach(filled(tmp_path / "image")) as loop:
        loop.close()
        with opened(loop.node) as fd:
            _set_autoclear(fd, on=True)
        _wait_until_gone(loop)


def test_f12_another_process_can_clear_autoclear_through_a_read_only_descriptor(tmp_path: Path) -> None:
    """SET_STATUS64 by another process of root, on a read-only descriptor, takes AUTOCLEAR away again."""

    def disarm() -> None:
        with opened(loop.node, os.O_RDONLY) as fd:
            _set_autoclear(fd, on=False)

    with attach(filled(tmp_path / "image"), status=SCOPED) as loop, children() as start:
        assert start(disarm).words() == "None"
        loop.close()
        assert loop.is_attached()
        assert rawloop.sysfs(loop.number, "loop/autoclear") == b"0"


def test_f12_autoclear_is_the_only_flag_that_set_status64_clears(tmp_path: Path) -> None:
    """SET_STATUS64 without any flag clears AUTOCLEAR and leaves READ_ONLY and PARTSCAN."""
    flags = Flag.READ_ONLY | Flag.PARTSCAN | Flag.AUTOCLEAR
    with attach(filled(tmp_path / "image"), status=Status(flags=flags)) as loop:
        status = rawloop.get_status(loop.held)
        rawloop.set_status(loop.held, dataclasses.replace(status, flags=Flag.NONE))
        assert rawloop.get_status(loop.held).flags == Flag.READ_ONLY | Flag.PARTSCAN


def test_f12_the_holder_of_the_claim_can_clear_autoclear(tmp_path: Path) -> None:
    """SET_STATUS64 through one's own O_EXCL descriptor clears AUTOCLEAR, which newer kernels may ask for."""
    with attach(filled(tmp_path / "image"), status=SCOPED) as loop:
        with opened(loop.node, os.O_RDONLY | os.O_EXCL) as claim:
            _set_autoclear(claim, on=False)
        assert rawloop.get_status(loop.held).flags == Flag.READ_ONLY


@pytest.mark.parametrize("inheritable", [False, True])
def test_f13_a_forked_child_keeps_the_device_bound(tmp_path: Path, *, inheritable: bool) -> None:
    """A forked child that has the descriptor keeps the device bound after its parent's close, O_CLOEXEC or not."""
    with attach(filled(tmp_path / "image"), status=SCOPED) as loop, children() as start:
        os.set_inheritable(loop.held, inheritable)
        child = start(signal.pause, keep=(loop.held,))
        loop.close()
        assert loop.is_attached()
        os.kill(child.pid, signal.SIGTERM)
        _wait_until_gone(loop)


def test_f15_an_open_descriptor_keeps_the_binding_as_it_is(tmp_path: Path) -> None:
    """While a plain descriptor of a bound device is open, neither CLR_FD nor CONFIGURE changes the binding."""
    with attach(filled(tmp_path / "image")) as loop, opened(filled(tmp_path / "other")) as image:
        before = rawloop.get_status(loop.held)
        with opened(loop.node) as stranger:
            rawloop.clear(stranger)
            with fails_with(errno.EBUSY):
                rawloop.configure(stranger, image)
        after = rawloop.get_status(loop.held)
        assert dataclasses.replace(after, flags=after.flags & ~Flag.AUTOCLEAR) == before
        assert rawloop.diskseq(loop.held) == loop.diskseq


def _read_anew(fd: int) -> bytes:
    """Udev has read it, and 5.10 keeps what was read as long as that is in the cache."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return os.pread(fd, 1, 0)


def test_f15_change_fd_swaps_the_image_of_a_read_only_device_under_its_openers(tmp_path: Path) -> None:
    """CHANGE_FD puts another image of the same size under the openers of a read-only device; diskseq shows it."""
    with attach(filled(tmp_path / "image")) as loop, opened(filled(tmp_path / "other", b"B")) as image:
        with opened(loop.node) as stranger:
            rawloop.change_fd(stranger, image)
        rawloop.wait_until(lambda: _read_anew(loop.held) == b"B", "the other image is read")
        before, loop.diskseq = loop.diskseq, rawloop.diskseq(loop.held)
        assert loop.diskseq != before or not has_diskseq()


@pytest.mark.parametrize(("writable", "kib"), [(True, 64), (False, 32)])
def test_f15_change_fd_refuses_writable_devices_and_other_sizes(tmp_path: Path, kib: int, *, writable: bool) -> None:
    """CHANGE_FD is EINVAL on a writable device, and for an image of another size."""
    other = filled(tmp_path / "other", size_bytes=kib * 1024)
    loops = attach(filled(tmp_path / "image"), writable=writable)
    with loops as loop, opened(other) as image, fails_with(errno.EINVAL):
        rawloop.change_fd(loop.held, image)


def test_f15_an_unbound_device_is_bound_under_a_plain_descriptor_not_under_a_claim(tmp_path: Path) -> None:
    """A stranger can bind an unbound device under our plain descriptor; under our O_EXCL one he gets EBUSY."""
    with private_number() as number, opened(filled(tmp_path / "image")) as image:
        node = rawloop.node(number)
        with opened(node, os.O_RDONLY | os.O_EXCL), opened(node) as stranger, fails_with(errno.EBUSY):
            rawloop.configure(stranger, image)
        with opened(node) as ours, opened(node) as stranger:
            rawloop.configure(stranger, image, SCOPED)
            assert rawloop.get_status(ours).number == number
