"""A device in use is not released, whoever uses it: the holder is named, all else goes, and nothing is left armed."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from tests.support import oracle, rawloop
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.media import autoclear, by_losetup, is_bound, new_hash
from tests.support.needs import find_tool, require_tool
from tests.support.rig import is_claimed, mounted, mounted_elsewhere, swapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ntt_loops import LoopDevice

MIB = 1024 * 1024
#: What is held of a device, and how: the kind of holder and what its `where` and `command` hold, and its pid if known.
Held = tuple[str, str, str, int | None]


@contextmanager
def _mounted(device: LoopDevice, folder: Path) -> Iterator[Held]:
    with mounted(device.path, folder / "mnt", "-o", "ro") as point:
        yield "mount", str(point), "", None


@contextmanager
def _mounted_elsewhere(device: LoopDevice, folder: Path) -> Iterator[Held]:
    (folder / "mnt").mkdir()
    with mounted_elsewhere(device.path, folder / "mnt") as process:
        yield "mount", str(folder / "mnt"), "sh", process.pid
        process.communicate("\n")


@contextmanager
def _mounted_without_a_process(device: LoopDevice, folder: Path) -> Iterator[Held]:
    (folder / "mnt").mkdir()
    with mounted_elsewhere(device.path, folder / "mnt") as process, rawloop.opened(f"/proc/{process.pid}/ns/mnt"):
        process.communicate("\n")
        process.wait()
        yield "unknown", "", "", None


@contextmanager
def _lazily_unmounted(device: LoopDevice, folder: Path) -> Iterator[Held]:
    with mounted(device.path, folder / "mnt", "-o", "ro") as point, rawloop.opened(point / "f"):
        oracle.run("umount", "--lazy", point)
        yield "unknown", "", "", None


@contextmanager
def _read_elsewhere(device: LoopDevice, _: Path) -> Iterator[Held]:
    with reader(device) as process:
        yield "process", str(device), "sh", process.pid


@contextmanager
def _open_here(device: LoopDevice, _: Path) -> Iterator[Held]:
    with rawloop.opened(device):
        yield "process", str(device), "", os.getpid()


@contextmanager
def _under_another_loop(device: LoopDevice, _: Path) -> Iterator[Held]:
    with rawloop.attach(device) as upper:
        upper.close()
        yield "loop", str(upper.node), "", None


@contextmanager
def _partition_mounted(device: LoopDevice, folder: Path) -> Iterator[Held]:
    oracle.run(require_tool("addpart"), device, "1", str(MIB // 512), str(2 * MIB // 512))
    with mounted(f"{device}p1", folder / "mnt", "-o", "ro,noload") as point:
        yield "mount", str(point), "", None


@contextmanager
def _partition_read(device: LoopDevice, _: Path) -> Iterator[Held]:
    oracle.run(require_tool("addpart"), device, "1", str(MIB // 512), str(2 * MIB // 512))
    with reader(f"{device}p1") as process:
        yield "process", f"{device}p1", "sh", process.pid


HOLDERS = [
    _mounted,
    _mounted_elsewhere,
    _mounted_without_a_process,
    _lazily_unmounted,
    _read_elsewhere,
    _open_here,
    _under_another_loop,
    _partition_mounted,
    _partition_read,
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a file system, and another one at 1 MiB."""
    path = make_image(tmp_path / f"{new_hash()}.img", size_bytes=4 * MIB, files={"f": b"x"})
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(make_image(tmp_path / "inner", size_bytes=2 * MIB).read_bytes())
    return path


def _busy_release(loops: Loops, image: Path) -> DeviceBusyError:
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(image.stem, timeout=0.15)
    return caught.value


def _busy_releases(loops: Loops, image: Path, device: LoopDevice) -> tuple[DeviceBusyError, list[str]]:
    """Release until only that one device stays: others may look at the rest just then. Return what went, too."""
    error, released = _busy_release(loops, image), list[str]()
    while True:
        released += [one.device for one in error.report.released]
        if oracle.bound_devices(image) == [str(device)]:
            return error, released
        error = _busy_release(loops, image)


@pytest.mark.parametrize("use", HOLDERS)
def test_the_holder_is_named_and_nothing_is_armed(
    loops: Loops, image: Path, tmp_path: Path, use: Callable[[LoopDevice, Path], AbstractContextManager[Held]]
) -> None:
    """The one in use stays, unarmed, with its holder in the error; all others are released; later it goes, too."""
    others = [loops.attach_kept(image) for _ in range(2)]
    device = loops.attach_kept(image)
    others.append(loops.attach_kept(image))
    with use(device, tmp_path) as (kind, where, command, pid):
        error, released = _busy_releases(loops, image, device)
        assert oracle.bound_devices(image) == [str(device)]
        assert autoclear(device) == "0"
        (holder,) = error.holders
        assert (holder.kind, holder.where, holder.pid) == (kind, where, pid)
        assert command in ("", holder.command)
        assert sorted(released) == sorted(map(str, others))
        assert (error.errno, error.device) == (16, holder.device)
        assert holder.hint in str(error)
        assert [one.kind for one in loops.holders(device)] == ([kind] if kind != "unknown" else [])
    assert is_bound(device)
    assert [one.device for one in loops.release_all(image.stem).released] == [str(device)]
    assert loops.release_all(image.stem).released == ()


def test_swap_is_named_and_nothing_is_armed(loops: Loops, tmp_path: Path) -> None:
    """A device that is swapped on stays, unarmed, and the command that frees it is the hint."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB, fs=None)
    device = loops.attach_kept(image, writable=True)
    with swapping(device.path):
        (holder,) = _busy_release(loops, image).holders
        assert (holder.kind, holder.where, holder.hint) == ("swap", str(device), f"swapoff {device}")
        assert autoclear(device) == "0"
    loops.release(device)
    assert not is_bound(device)


def test_the_command_in_the_hint_frees_it(loops: Loops, image: Path, tmp_path: Path) -> None:
    """The hint for a mount is a shell command that ends it, in another namespace and with blanks in its path, too."""
    device = loops.attach_kept(image)
    point = tmp_path / "a b'c"
    point.mkdir()
    with mounted_elsewhere(device.path, point) as process:
        (holder,) = _busy_release(loops, image).holders
        subprocess.run(["sh", "-c", holder.hint], check=True)
        loops.release(device)
        assert not is_bound(device)
        process.communicate("\n")


def test_device_mapper_is_named(loops: Loops, image: Path) -> None:
    """What the device mapper stands on is named with its own name."""
    if find_tool("dmsetup") is None or not os.path.exists("/dev/mapper/control"):  # noqa: PTH110
        pytest.skip("no device mapper")
    if subprocess.run(["dmsetup", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel has no device mapper")
    device, name = loops.attach_kept(image), f"ntt-{new_hash()[:8]}"
    oracle.run("dmsetup", "create", name, "--readonly", "--table", f"0 {4 * MIB // 512} linear {device} 0")
    try:
        (holder,) = _busy_release(loops, image).holders
        assert (holder.kind, holder.where, holder.hint) == ("dm", name, f"dmsetup remove {name}")
    finally:
        oracle.run("dmsetup", "remove", name)
    loops.release(device)


def test_a_device_that_was_armed_by_others_stays_armed(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A device of others that `losetup -d` had armed while it was mounted is not disarmed by a release that failed."""
    device = by_losetup(image)
    with mounted(device, tmp_path / "mnt", "-o", "ro"):
        oracle.losetup_detach(device)
        assert autoclear(device) == "1"
        _busy_release(loops, image)
        assert autoclear(device) == "1"
    oracle.wait_until(lambda: not is_bound(device), "the umount detaches it")


def test_a_claim_is_named_as_an_open_file(loops: Loops, image: Path) -> None:
    """An O_EXCL descriptor is a holder of kind process; afterwards no claim of a release is left."""
    device = loops.attach_kept(image)
    with rawloop.opened(device, os.O_RDONLY | os.O_EXCL):
        (holder,) = _busy_release(loops, image).holders
        assert (holder.kind, holder.pid) == ("process", os.getpid())
    assert not is_claimed(device.path)
    loops.release(device)
