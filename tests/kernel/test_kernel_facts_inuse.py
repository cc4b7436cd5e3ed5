"""Facts about O_EXCL: what it sees, what it does not see, and what it keeps out."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import rawloop
from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.oracle import run
from tests.support.rawloop import Attachment, Flag, Status, attach, opened
from tests.support.rig import fails_with, filled, is_claimed, mounted, mounted_elsewhere, private_number, swapping

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


def _wait_until_unclaimed(node: Path) -> None:
    rawloop.wait_until(lambda: not is_claimed(node), f"{node} is unclaimed")


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Attachment]:
    """A read-only device with an ext4 that holds one file."""
    with attach(make_image(tmp_path / "image", files={"f": b"x"})) as loop:
        yield loop


@pytest.fixture
def partitioned(tmp_path: Path) -> Iterator[Attachment]:
    """A writable device of 4 MiB whose partition 1 holds an ext4."""
    image, content = filled(tmp_path / "image", size_bytes=MIB), make_image(tmp_path / "p1", size_bytes=3 * MIB)
    with image.open("ab") as file:
        file.write(content.read_bytes())
    status = Status(flags=Flag.PARTSCAN)  # without it the next open may drop the partition (F60)
    with private_number() as number, attach(image, writable=True, number=number, status=status) as loop:
        rawloop.add_partition(loop.held, 1, MIB, 3 * MIB)
        yield loop


def test_f23_a_mounted_device_is_claimed(ext4: Attachment, tmp_path: Path) -> None:
    """open(O_RDONLY | O_EXCL) of a mounted device is EBUSY, and is not after the umount."""
    with mounted(ext4.node, tmp_path / "mnt", "-o", "ro"):
        assert is_claimed(ext4.node)
    _wait_until_unclaimed(ext4.node)


def test_f23_a_device_mounted_in_another_namespace_is_claimed(ext4: Attachment, tmp_path: Path) -> None:
    """A mount in another mount namespace claims the device as well."""
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(ext4.node, tmp_path / "mnt"):
        assert is_claimed(ext4.node)
    _wait_until_unclaimed(ext4.node)


def test_f23_a_device_mounted_in_a_namespace_without_a_process_is_claimed(ext4: Attachment, tmp_path: Path) -> None:
    """A mount namespace that only a descriptor keeps alive claims the device, and no process's mountinfo shows it."""
    (tmp_path / "mnt").mkdir()
    with mounted_elsewhere(ext4.node, tmp_path / "mnt") as process, opened(f"/proc/{process.pid}/ns/mnt"):
        process.communicate("\n")
        assert process.returncode == 0
        assert is_claimed(ext4.node)
        assert not _mountinfo_lines(f" {ext4.node} ".encode())
    _wait_until_unclaimed(ext4.node)


def test_f23_a_lazily_unmounted_device_is_claimed(ext4: Attachment, tmp_path: Path) -> None:
    """After `umount -l` the device stays claimed until the last open file of the file system is closed."""
    with mounted(ext4.node, tmp_path / "mnt", "-o", "ro") as folder, opened(folder / "f"):
        run("umount", "--lazy", folder)
        assert not _mountinfo_lines(f" {ext4.node} ".encode())
        assert is_claimed(ext4.node)
    _wait_until_unclaimed(ext4.node)


def test_f23_a_device_that_is_swapped_on_is_claimed(tmp_path: Path) -> None:
    """Swap claims its device."""
    with attach(filled(tmp_path / "image", size_bytes=MIB), writable=True) as loop:
        with swapping(loop.node):
            assert is_claimed(loop.node)
        _wait_until_unclaimed(loop.node)


def test_f23_plain_descriptors_claim_nothing(ext4: Attachment) -> None:
    """A plain descriptor, writable or not, is no claim."""
    with opened(ext4.node, os.O_RDWR), opened(ext4.node, os.O_RDONLY):
        assert not is_claimed(ext4.node)


def test_f23_a_loop_device_stacked_on_it_claims_nothing_even_when_mounted(ext4: Attachment, tmp_path: Path) -> None:
    """A loop device stacked on this one is no claim, not even while that one is mounted."""
    with attach(ext4.node) as upper, mounted(upper.node, tmp_path / "mnt", "-o", "ro"):
        assert is_claimed(upper.node)
        assert not is_claimed(ext4.node)


def test_f43_a_mounted_partition_claims_the_whole_disk(partitioned: Attachment, tmp_path: Path) -> None:
    """O_EXCL of the whole disk is EBUSY while one of its partitions is mounted."""
    with mounted(rawloop.node(partitioned.number, 1), tmp_path / "mnt"):
        assert is_claimed(partitioned.node)
    _wait_until_unclaimed(partitioned.node)


def test_f43_swap_on_a_partition_claims_the_whole_disk(partitioned: Attachment) -> None:
    """O_EXCL of the whole disk is EBUSY while one of its partitions is swapped on."""
    with swapping(rawloop.node(partitioned.number, 1)):
        assert is_claimed(partitioned.node)
    _wait_until_unclaimed(partitioned.node)


def test_f43_a_claim_on_the_whole_disk_keeps_out_mounts_of_its_partitions(
    partitioned: Attachment, tmp_path: Path
) -> None:
    """While the whole disk is claimed a partition can neither be claimed nor mounted; plain opens work."""
    node = rawloop.node(partitioned.number, 1)
    with opened(partitioned.node, os.O_RDONLY | os.O_EXCL), opened(node):
        assert is_claimed(node)
        with pytest.raises(subprocess.CalledProcessError), mounted(node, tmp_path / "mnt"):
            pass


def test_f24_a_claim_keeps_out_mount_and_mkfs(ext4: Attachment, tmp_path: Path) -> None:
    """While we hold O_EXCL nobody can mount the device, and mkfs refuses."""
    with opened(ext4.node, os.O_RDONLY | os.O_EXCL):
        with pytest.raises(subprocess.CalledProcessError), mounted(ext4.node, tmp_path / "mnt", "-o", "ro"):
            pass
        with pytest.raises(subprocess.CalledProcessError, match="mkfs"):
            run(require_tool("mkfs.ext4"), "-F", ext4.node)


def test_f24_a_claim_keeps_out_configure(tmp_path: Path) -> None:
    """While we hold O_EXCL on an unbound device nobody else can bind it; we can."""
    with private_number() as number, opened(filled(tmp_path / "image")) as image:
        node = rawloop.node(number)
        with opened(node, os.O_RDONLY | os.O_EXCL) as claim:
            with opened(node) as stranger, fails_with(errno.EBUSY):
                rawloop.configure(stranger, image)
            rawloop.configure(claim, image, Status(flags=Flag.AUTOCLEAR))
            assert rawloop.is_bound(number)


def _mountinfo_lines(part: bytes) -> list[bytes]:
    """The lines of all processes' mountinfo that hold these bytes."""
    found = []
    for pid in [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]:
        try:
            lines = Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines()
        except OSError:  # it has ended
            continue
        found += [line for line in lines if part in line]
    return found
