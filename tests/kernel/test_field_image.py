"""Field cases of the image: deleted too early, changed by looking at it, its end lost, its partitions another's."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import pytest

from ntt_loops import DeviceBusyError, ImageError, Loops
from tests.support import oracle, rawloop
from tests.support.forked import forks
from tests.support.images import make_image
from tests.support.kernels import FencedKernel, PinnedKernel
from tests.support.media import by_attach_kept, by_losetup, is_bound, new_hash, new_image, partitions_left
from tests.support.needs import require_tool
from tests.support.rig import hidden_number, mounted
from tests.support.served import hidden_server, served

MIB = 1024 * 1024
#: By then a call with a deadline of a second is over, or it never will be.
NEVER_SECONDS = 120.0


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; "the whole host" is what lies below this test's folder."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


def _archive(loops: Loops, image: Path) -> None:
    """Do what an archiver does."""
    loops.release_all(image.stem, timeout=0.1)
    shutil.copy(image, image.with_suffix(".packed"))
    loops.release_all(image.stem, timeout=0.1)
    image.unlink()


def test_case_12_the_archiver_does_not_unlink_what_is_attached(loops: Loops, tmp_path: Path) -> None:
    """While a device holds the image the archiver's line raises, and the unlink after it never runs."""
    image = make_image(tmp_path / f"{new_hash()}.img", size_bytes=MIB)
    device = by_losetup(image)
    with mounted(rawloop.node(oracle.device_number(device)), tmp_path / "mnt", "-o", "ro"):
        with pytest.raises(DeviceBusyError):
            _archive(loops, image)
        assert image.exists()
    _archive(loops, image)
    assert not is_bound(device)
    assert not image.exists()


def test_case_12_a_sweep_says_how_many_bytes_it_gave_back(loops: Loops, tmp_path: Path) -> None:
    """An image that was deleted too early holds its space until the sweep, which says how much that was."""
    image = new_image(tmp_path, size_bytes=MIB)
    for _ in range(3):
        by_losetup(image)
    image.unlink()
    report = loops.sweep(under=tmp_path)
    assert [one.freed_bytes for one in report.released] == [0, 0, MIB]
    assert report.to_dict()["freed_bytes"] == MIB


def test_case_13_a_sweep_leaves_what_is_not_in_its_scope(loops: Loops, tmp_path: Path) -> None:
    """Deleted images of others outside the named folder, and images of which nothing is known, keep their devices."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "containers").mkdir()
    image, theirs = new_image(tmp_path / "ours"), new_image(tmp_path / "containers")
    device = by_losetup(image)
    with rawloop.attach(theirs) as container, served(tmp_path) as server:
        unknown = by_losetup(new_image(server.folder))
        container.close()
        image.unlink()
        theirs.unlink()
        server.kill()
        assert loops.sweep().released == ()
        assert [one.device for one in loops.sweep(under=[tmp_path / "ours", server.folder]).released] == [device]
        assert container.is_attached()
        assert is_bound(unknown)


@pytest.mark.parametrize("size", [4096 + 1, 4096 + 511])
def test_case_18_the_last_bytes_are_told(
    loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """Bytes that no loop device shows are .tail_bytes and a warning."""
    with caplog.at_level(logging.WARNING, "ntt_loops"), loops.attached(new_image(tmp_path, size_bytes=size)) as device:
        assert (device.size_bytes, device.tail_bytes) == (4096, size - 4096)
    assert [f"last {size - 4096} bytes" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("size", [0, 1, 511])
def test_case_18_an_image_under_a_sector_is_an_error(loops: Loops, tmp_path: Path, size: int) -> None:
    """What the kernel would attach as an empty device is refused."""
    image = new_image(tmp_path, size_bytes=size)
    with pytest.raises(ImageError):
        loops.attach_kept(image)
    assert not oracle.bound_devices(image)


def _with_a_dirty_journal(folder: Path) -> Path:
    """Make an ext4 that was copied while it was mounted: its journal asks to be replayed."""
    clean, dirty = make_image(folder / "clean", size_bytes=8 * MIB), folder / f"{new_hash()}.img"
    with rawloop.attach(clean, writable=True) as loop, mounted(loop.node, folder / "writing") as point:
        (point / "new").write_bytes(b"x" * 1000)
        oracle.run("sync", "-f", point)
        shutil.copy(clean, dirty)
    assert "needs_recovery" in oracle.run(require_tool("dumpe2fs"), "-h", dirty)
    return dirty


def test_case_19_looking_at_an_image_does_not_change_it(loops: Loops, tmp_path: Path) -> None:
    """An ext4 whose journal is dirty has the same hash after it was mounted read-only from our device and read."""
    image = _with_a_dirty_journal(tmp_path)
    before = oracle.sha256(image)
    with loops.attached(image) as device, mounted(device.path, tmp_path / "mnt", "-o", "ro,noload") as point:
        assert [path.name for path in point.iterdir() if path.name == "lost+found"] == ["lost+found"]
    assert oracle.sha256(image) == before
    assert "needs_recovery" in oracle.run(require_tool("dumpe2fs"), "-h", image)


def test_case_19_a_mount_that_would_write_is_refused_by_the_kernel(loops: Loops, tmp_path: Path) -> None:
    """Without `noload` the same is an error of mount(8), not a changed image: our device refuses the replay."""
    image = _with_a_dirty_journal(tmp_path)
    before = oracle.sha256(image)
    (tmp_path / "mnt").mkdir()
    with loops.attached(image) as device, pytest.raises(subprocess.CalledProcessError):
        oracle.run("mount", "-o", "ro", device, tmp_path / "mnt")
    assert oracle.sha256(image) == before


@pytest.mark.parametrize("options", [["-r"], []])
def test_case_21_no_partition_is_left_for_the_next_image(loops: Loops, tmp_path: Path, options: list[str]) -> None:
    """After the detach no partition of the old image is left on the number, however the device was made."""
    image = new_image(tmp_path)
    made = [by_losetup(image, *options), by_attach_kept(loops, image, writable=not options)]
    for device in made:
        oracle.run(require_tool("addpart"), device, "1", "8", "8")
        assert oracle.partition_nodes(device) == [f"{device}p1"]
    loops.release_all(image.stem)
    loops.release_all(image)
    assert [node for device in made for node in partitions_left(device)] == []


def test_case_22_a_missing_node_is_no_obstacle(tmp_path: Path) -> None:
    """Where /dev lacks the node of a kept device, it is listed and released by a private one, which is gone then."""
    image, node = new_image(tmp_path), tmp_path / "node"
    with hidden_number(node) as number:
        Loops(tmp_path / "run", PinnedKernel({number: node})).attach_kept(image)
        loops = Loops(tmp_path / "run", PinnedKernel({number: tmp_path / "missing"}))
        listed = [one.image for medium in loops.list_media(image.stem) for one in medium.attachments]
        loops.release_all(image.stem)
        assert listed == [image]
        assert not rawloop.is_bound(number)
        assert not Path(f"/dev/ntt-loops/loop{number}").exists()


def test_case_27_a_hung_file_server_does_not_stop_the_others(tmp_path: Path) -> None:
    """With a device on a server that does not answer a sweep ends, takes the other orphan, and tells of the stuck."""
    with hidden_server(tmp_path, 1) as server:
        loops = Loops(tmp_path / "run", FencedKernel(tmp_path, nodes=server.nodes))
        image, stuck_image = new_image(tmp_path), new_image(server.folder)
        device, stuck = str(loops.attach_kept(image)), server.nodes[server.attach_foreign(stuck_image)]
        image.unlink()
        stuck_image.unlink()
        with server.stopped(), forks() as start:
            report = start(lambda _: loops.sweep(system=True, timeout=1).to_dict()).hear(NEVER_SECONDS)
        assert [one["device"] for one in report["released"]] == [device]
        assert [(one["device"], one["reason"]) for one in report["kept"]] == [(str(stuck), "storage does not answer")]
