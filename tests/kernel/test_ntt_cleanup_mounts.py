"""``examples/ntt/cleanup_mounts.py``: what nobody needs goes; what is in use stays whole, and is reported."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from ntt_loops import attach_kept, attached
from tests.support import ntt, ntt_media, oracle
from tests.support.media import by_losetup, is_bound
from tests.support.ntt_media import BUSY, DONE, ERROR, INTERRUPTED

if TYPE_CHECKING:
    import os
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("place")


def cleanup(*arguments: str | os.PathLike[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return ntt.run("cleanup_mounts.py", *arguments, "--root", root, "--timeout", "0.5")


def cleanup_idle(root: Path) -> subprocess.CompletedProcess[str]:
    """Run it for whatever is idle, again where somebody on this machine looked at a device just then."""
    for _ in range(10):
        done = cleanup("--idle", "0", root=root)
        if "kept: " not in done.stdout:
            break
    return done


def test_media_that_are_named_go(tmp_path: Path, root: Path) -> None:
    """Mounts, strangers' devices and folders; again, there is nothing to do."""
    images = [ntt_media.whole_disk(tmp_path), ntt_media.two_partitions(tmp_path)]
    for image in images:
        ntt_media.mount(image, root)
    stranger = by_losetup(images[0])
    for _ in range(2):
        done = cleanup(*(image.stem for image in images), root=root)
        assert (done.returncode, done.stderr) == (DONE, "")
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == ["nothing is attached"] * 2
    assert not is_bound(stranger)
    for image in images:
        ntt_media.assert_nothing_of(image, root)


def test_one_in_use_does_not_stop_the_others(tmp_path: Path, root: Path) -> None:
    """It ends with 75, names the user, and the other medium is gone."""
    used, other = ntt_media.whole_disk(tmp_path), ntt_media.two_partitions(tmp_path)
    for image in (used, other):
        ntt_media.mount(image, root)
    with ntt_media.working_in(root / used.stem) as process:
        done = cleanup(used.stem, other.stem, root=root)
    assert done.returncode == BUSY
    assert f"{used.stem}: kept: " in done.stdout
    assert f"pid {process.pid}" in done.stdout
    assert ntt_media.mounts_below(root) == [root / used.stem]
    ntt_media.assert_nothing_of(other, root / "other")
    assert cleanup(used.stem, root=root).returncode == DONE


def test_what_is_idle_goes(tmp_path: Path, root: Path) -> None:
    """Not before it is an hour old; with ``--idle 0`` at once, also what was kept for a process that never came."""
    image, kept = ntt_media.two_partitions(tmp_path), ntt_media.whole_disk(tmp_path)
    ntt_media.mount(image, root)
    device = attach_kept(kept)
    done = cleanup(root=root)
    assert done.returncode == DONE
    assert done.stdout.count("was attached less than 3600 s ago") == 2
    assert len(ntt_media.mounts_below(root)) == 2
    done = cleanup_idle(root)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert not is_bound(device), done.stdout
    ntt_media.assert_nothing_of(image, root)


def test_a_medium_in_use_stays_whole(tmp_path: Path, root: Path) -> None:
    """A process works in one partition: the other stays mounted too, and that is no failure."""
    image = ntt_media.two_partitions(tmp_path)
    ntt_media.mount(image, root)
    with ntt_media.working_in(root / image.stem / "p2") as process:
        done = cleanup("--idle", "0", root=root)
        assert done.returncode == DONE
        assert f"pid {process.pid}" in done.stdout
        assert len(ntt_media.mounts_below(root)) == 2
    assert cleanup_idle(root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


def test_a_living_process_s_own_device_stays(tmp_path: Path, root: Path) -> None:
    """A ``with`` block that runs is not idle, however old."""
    image = ntt_media.whole_disk(tmp_path)
    with attached(image) as device:
        time.sleep(0.01)
        done = cleanup("--idle", "0", root=root)
        assert done.returncode == DONE
        assert f"{image.stem}: kept: {device} is that of process" in done.stdout
        assert is_bound(device)


def test_the_sweep_takes_what_deleted_images_left(tmp_path: Path, root: Path) -> None:
    """Strangers' devices of images below the folder that was named; it says how much came back."""
    images = [ntt_media.whole_disk(tmp_path / "img"), ntt_media.whole_disk(tmp_path)]
    devices = [by_losetup(image) for image in images]
    for image in images:
        image.unlink()
    done = cleanup("--under", tmp_path / "img", root=root)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert f"sweep: detached {devices[0]} of the deleted {images[0]}, 8388608 bytes came back" in done.stdout
    assert [is_bound(device) for device in devices] == [False, True]
    assert cleanup("--under", tmp_path, root=root).returncode == DONE
    assert not is_bound(devices[1])


@pytest.mark.parametrize("name", ["", "x" * 32, "a" * 15, "../" + "a" * 32])
def test_a_name_that_is_no_hash_is_refused(name: str, tmp_path: Path, root: Path) -> None:
    """It ends with 1, and nothing at all is done, not even for the hash beside it."""
    image = ntt_media.whole_disk(tmp_path)
    ntt_media.mount(image, root)
    done = cleanup(image.stem, name, root=root)
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert "is no hash" in done.stderr
    assert ntt_media.mounts_below(root) == [root / image.stem]
    assert cleanup(image.stem, root=root).returncode == DONE


def test_interrupted_it_can_be_run_again(tmp_path: Path, root: Path) -> None:
    """Ctrl-C while it unmounts: 130, and what is left goes the next time."""
    image = ntt_media.two_partitions(tmp_path)
    ntt_media.mount(image, root)
    environment = ntt.stopped_at(tmp_path, "umount", "--")
    with ntt.start("cleanup_mounts.py", image.stem, "--root", root, environment=environment) as process:
        ntt.wait_for(tmp_path / "stopped")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert process.returncode == INTERRUPTED
    assert cleanup(image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)
    assert oracle.bound_below(tmp_path) == []
