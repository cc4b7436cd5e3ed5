"""Devices that others made: found and released, with what they wrote in the image, and no partition left behind."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._kernel import private_nodes
from tests.support import oracle, rawloop, tables
from tests.support.forked import elsewhere
from tests.support.kernels import PinnedKernel
from tests.support.media import by_losetup, is_bound, new_image
from tests.support.needs import require_tool
from tests.support.rawloop import Flag, Status
from tests.support.rig import hidden_number, private_number
from tests.support.served import served

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
WRITTEN = b"W" * MIB


def _write(device: str) -> None:
    with rawloop.opened(device, os.O_WRONLY) as descriptor:
        assert os.pwrite(descriptor, WRITTEN, 0) == MIB


def test_what_was_written_through_it_is_in_the_image(loops: Loops, tmp_path: Path) -> None:
    """What was written without fsync through a writable device of others is in the image after the release."""
    image = new_image(tmp_path, size_bytes=MIB)
    device = by_losetup(image, "-P")
    _write(device)
    assert [one.device for one in loops.release_all(image).released] == [device]
    assert not is_bound(device)
    assert image.read_bytes() == WRITTEN


def test_two_writable_devices_of_one_image(loops: Loops, tmp_path: Path) -> None:
    """What was written through two devices with different offsets is in the image after one release."""
    image = new_image(tmp_path, size_bytes=2 * MIB)
    for device in (
        by_losetup(image, "-o", str(MIB)),
        by_losetup(image, "--sizelimit", str(MIB)),
    ):
        _write(device)
    assert len(loops.release_all(image).released) == 2
    assert image.read_bytes() == WRITTEN * 2


@pytest.mark.parametrize("held", [False, True])
def test_an_armed_one_that_is_in_use(loops: Loops, tmp_path: Path, *, held: bool) -> None:
    """A writable device of others that has AUTOCLEAR and is in use is waited for, keeps its flag, and loses nothing."""
    image = new_image(tmp_path, size_bytes=MIB)
    with rawloop.attach(image, writable=True, status=Status(flags=Flag.AUTOCLEAR)) as loop:
        _write(str(loop.node))
        if held:
            with pytest.raises(DeviceBusyError):
                loops.release_all(image, timeout=0.1)
            assert rawloop.sysfs(loop.number, "loop/autoclear") == b"1"
        loop.close()
        loops.release_all(image)
        assert not loop.is_attached()
    assert image.read_bytes() == WRITTEN


@pytest.mark.parametrize("options", [["-r"], ["-r", "-P"], [], ["-P"]])
def test_no_partition_is_left(loops: Loops, tmp_path: Path, options: list[str]) -> None:
    """Partitions of a device of others, read-only or not, scanned for or not, are gone after the release.

    Left behind, they would show the next image of that number at this one's offsets.
    """
    image = new_image(tmp_path)
    with private_number() as number:
        node = str(rawloop.node(number))
        oracle.run("losetup", *options, node, image)
        for partition in ("1", "7"):
            oracle.run(require_tool("addpart"), node, partition, partition + "0", "8")
        assert [one.device for one in loops.release_all(image).released] == [node]
        assert not rawloop.is_bound(number)
        assert oracle.partition_nodes(node) == []


def test_the_partitions_of_a_busy_device_stay(loops: Loops, tmp_path: Path) -> None:
    """While a device of others is in use its partitions are not taken away, scanned for or not."""
    image = new_image(tmp_path)
    tables.write(image, tables.mbr((8, 8, 0x83)))  # so that udev and the kernel come to the same, should they look
    for options in (["-r"], [], ["-r", "-P"], ["-P"]):
        device = by_losetup(image, *options)
        subprocess.run([require_tool("addpart"), device, "1", "8", "8"], capture_output=True, check=False)
        with rawloop.opened(device), pytest.raises(DeviceBusyError):
            loops.release_all(image, timeout=0.1)
        oracle.wait_until(lambda: oracle.partition_nodes(device) == [f"{device}p1"], "it is there")  # noqa: B023
        loops.release_all(image)


def _blind_release(folder: Path, number: int, image: Path) -> list[str]:
    """Release an image without a node, or a way to make one; return the kinds of its holders."""
    loops, no_folder = Loops(folder / "run", PinnedKernel({number: folder / "missing"})), folder / "a file"
    no_folder.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_nodes, "FOLDER", str(no_folder))
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image, timeout=0.1)
    return [one.kind for one in caught.value.holders]


def test_one_without_a_node_is_told_so(tmp_path: Path) -> None:
    """A device of others whose node is missing is not detached; what is missing is what the error says."""
    image, node = new_image(tmp_path), tmp_path / "node"
    with hidden_number(node) as number, rawloop.attach(image, number=number, private_node=node) as loop:
        loop.close()
        assert _blind_release(tmp_path, number, image) == ["no-node"]
        assert loop.is_attached()


def test_a_kept_one_without_a_node_is_told_so(tmp_path: Path) -> None:
    """The same for a kept device; it is released when the node is back."""
    image, node = new_image(tmp_path), tmp_path / "node"
    with hidden_number(node) as number:
        loops = Loops(tmp_path / "run", PinnedKernel({number: node}))
        loops.attach_kept(image)
        try:
            assert _blind_release(tmp_path, number, image) == ["no-node"]
            assert rawloop.is_bound(number)
        finally:
            assert len(loops.release_all(image).released) == 1


def test_without_standard_input(tmp_path: Path) -> None:
    """A service that has closed its standard descriptors can release an image on a file server."""

    def release() -> int:
        for number in range(3):
            os.close(number)
        return len(Loops(tmp_path / "run").release_all(image).released)

    with served(tmp_path) as server:
        image = new_image(server.folder)
        device = by_losetup(image)
        assert elsewhere(release) == 1
        assert not is_bound(device)
