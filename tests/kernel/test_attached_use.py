"""What can be done with the device in the block."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from ntt_loops import LoopDevice, Loops, Partition
from tests.support import oracle, rawloop
from tests.support.images import make_image
from tests.support.media import new_id, new_image, partitions_left
from tests.support.needs import require_tool
from tests.support.rig import fails_with


def _numbers(device: LoopDevice) -> list[int]:
    return [partition.number for partition in device.partitions]


def test_in_an_argument_list(loops: Loops, tmp_path: Path) -> None:
    """The device stands in a subprocess argument list as it is."""
    image = make_image(tmp_path / f"{new_id()}.img", files={"a": b"x"})
    with loops.attached(image) as device:
        done = subprocess.run([require_tool("blkid"), "-p", "-o", "export", device], capture_output=True, check=True)
    assert b"TYPE=ext4" in done.stdout


def test_opened_as_a_file(loops: Loops, tmp_path: Path) -> None:
    """open(device) reads the image, as Path(device) does."""
    image = new_image(tmp_path)
    with loops.attached(image) as device:
        with open(device, "rb") as file:  # noqa: PTH123 - that this works is what is tested
            assert file.read() == image.read_bytes()
        assert Path(device).read_bytes() == image.read_bytes()
        assert os.fspath(device) == str(device) == f"/dev/loop{device.number}"


def test_what_it_says_of_itself(loops: Loops, tmp_path: Path) -> None:
    """Number, diskseq, image, medium and sizes are those that losetup, sysfs and the file system tell."""
    image = new_image(tmp_path)
    with loops.attached(image, medium="another-name") as device:
        (row,) = [row for row in oracle.losetup_list() if row["name"] == str(device)]
        assert device.diskseq == oracle.diskseq(device.number)
        assert (device.image, device.medium) == (image, "another-name")
        assert row["back-file"] == str(image)
        assert (device.size_bytes, device.tail_bytes, device.read_only) == (image.stat().st_size, 0, True)
        assert (row["ro"], row["autoclear"], row["partscan"], row["dio"]) == (True, True, True, False)


def test_the_kernel_refuses_writes(loops: Loops, tmp_path: Path) -> None:
    """By default the device is read-only: sysfs says so, and nothing is written, also after BLKROSET(0)."""
    image = new_image(tmp_path)
    before = oracle.sha256(image)
    with loops.attached(image) as device:
        assert rawloop.sysfs(device.number, "ro") == b"1"
        with rawloop.opened(device, os.O_RDWR) as descriptor:
            rawloop.set_read_only(descriptor, on=False)
            takes = rawloop.sysfs(device.number, "ro") == b"0"  # on 5.10: then the driver refuses (F7)
            with fails_with(errno.EIO if takes else errno.EPERM):
                os.pwrite(descriptor, b"X" * 512, 0)
                os.fsync(descriptor)
    assert oracle.sha256(image) == before


def test_partitions_are_read_anew_at_each_access(loops: Loops, tmp_path: Path) -> None:
    """Partitions appear in .partitions once the kernel has them, by number; an unknown one is LookupError."""
    with loops.attached(new_image(tmp_path)) as device:
        assert _numbers(device) == []
        oracle.run(require_tool("addpart"), device, "3", "8", "16")
        oracle.run(require_tool("addpart"), device, "1", "32", "16")
        assert _numbers(device) == [1, 3]
        assert device.partition(3) == Partition(Path(f"{device}p3"), 3, 8 * 512, 16 * 512)
        with pytest.raises(LookupError, match="no partition 2"):
            device.partition(2)
    assert _numbers(device) == []
    assert partitions_left(device) == []


def test_a_partition_is_read_like_a_file(loops: Loops, tmp_path: Path) -> None:
    """A partition shows its part of the image, and stands in an argument list as it is."""
    image = new_image(tmp_path)
    with image.open("r+b") as file:
        file.seek(8 * 512)
        file.write(b"in partition 1".ljust(512))
    with loops.attached(image) as device:
        oracle.run(require_tool("addpart"), device, "1", "8", "16")
        done = subprocess.run(["head", "-c", "14", device.partition(1)], capture_output=True, check=True)
    assert done.stdout == b"in partition 1"


def test_any_file_name_works(loops: Loops, tmp_path: Path) -> None:
    """Blanks, a newline, bytes that are no UTF-8, " (deleted)" and 250 bytes: attached, and gone after the block."""
    names = [b" a b ", b"a\nb", b"\xff\xfe.img", b"a (deleted)", b"a" * 250, b"-r", b"%41.img", b"..img"]
    for name in names:
        image = new_image(tmp_path).rename(tmp_path / os.fsdecode(name))
        with loops.attached(image) as device:
            assert oracle.bound_to_path(image) == [str(device)]
            assert device.image == image
        assert not oracle.bound_devices(image)
