"""``examples/ntt/mount_helper.py``: ntt-mount-helper's arguments and answers, and nothing half-done stays."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import ntt, ntt_disks, ntt_media, oracle
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_hash
from tests.support.ntt_media import BUSY, DONE, ERROR, FILES, INTERRUPTED, MORE, USAGE, answer_of, mount_helper
from tests.support.rig import mounted

pytestmark = pytest.mark.usefixtures("place")


def test_a_whole_disk_is_mounted_at_its_hash(tmp_path: Path, root: Path) -> None:
    """The answer is ntt-mount-helper's; the image is as it was; again, the same answer; then all of it goes."""
    image = ntt_media.whole_disk(tmp_path)
    before = oracle.sha256(image)
    answer = ntt_media.mount(image, root)
    (device,) = oracle.bound_devices(image)
    point = str(root / image.stem)
    whole = {"num": None, "device": device, "mount": point, "fstype": "ext4", "status": "ok"}
    expected = {"layout": "single", "device": device, "mount": point, "fstype": "ext4", "partitions": [whole]}
    assert answer == expected
    assert (root / image.stem / "note").read_bytes() == FILES["note"]
    assert ntt_media.mount(image, root) == expected
    assert oracle.bound_devices(image) == [device]
    done = mount_helper("unmount", image.stem, root=root)
    assert done.returncode == DONE, done.stderr
    assert answer_of(done)["medium"] == image.stem
    ntt_media.assert_nothing_of(image, root)
    assert oracle.sha256(image) == before


@pytest.mark.parametrize("make", [ntt_media.two_partitions, ntt_media.ext4_and_xfs])
def test_several_partitions_are_mounted_below_it(make: ntt_media.Maker, tmp_path: Path, root: Path) -> None:
    """Each at pN, and nothing is said beside layout and partitions."""
    image = make(tmp_path)
    before = oracle.sha256(image)
    answer = ntt_media.mount(image, root)
    (device,) = oracle.bound_devices(image)
    points = [root / image.stem / name for name in ("p1", "p2")]
    second = "xfs" if make is ntt_media.ext4_and_xfs else "ext4"
    partitions = [
        {"num": number, "device": f"{device}p{number}", "mount": str(point), "fstype": fstype, "status": "ok"}
        for number, point, fstype in zip((1, 2), points, ("ext4", second), strict=True)
    ]
    assert answer == {"layout": "multi", "partitions": partitions}
    assert (points[1] / "second").read_bytes() == MORE["second"]
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)
    assert oracle.sha256(image) == before


def test_what_is_not_mounted_is_listed_with_its_reason(tmp_path: Path, root: Path) -> None:
    """Swap, an LVM member with its group, one without, garbage, an extended container; one file system: single."""
    swap, empty, noise = (tmp_path / name for name in ("swap", "empty", "noise"))
    for path, size in ((swap, 1), (noise, 1)):
        path.write_bytes(bytes(size * ntt_disks.MIB))
    oracle.run("mkswap", "-q", swap)
    noise.write_bytes(b"noise" * 1000)
    ntt_disks.lvm(empty, "vg-none", [])
    with empty.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    script = """label: dos
size=8MiB, type=83
size=1MiB, type=82
size=16MiB, type=8e
type=5
size=16MiB, type=8e
size=1MiB, type=83
"""
    volume = ntt_disks.lvm(tmp_path / "pv", "vg-old", ["root"])
    contents = {1: ntt_disks.ext4(tmp_path / "one", FILES), 2: swap, 3: volume, 5: empty, 6: noise}
    image = ntt_disks.make_disk(tmp_path / f"{new_hash()}.img", script, contents, size_bytes=64 * ntt_disks.MIB)
    answer = ntt_media.mount(image, root)
    statuses = {one["num"]: one["status"] for one in answer["partitions"]}
    assert statuses == {1: "ok", 2: "swap", 3: "lvm_detected", 4: "extended", 5: "lvm_no_metadata", 6: "failed"}
    assert (answer["layout"], answer["mount"]) == ("single", str(root / image.stem))
    (group,) = [one["lvm"] for one in answer["partitions"] if "lvm" in one]
    assert (group["lvm_type"], group["vg_name"], group["lv_names"]) == ("LVM2_member", "vg-old", ["root"])
    assert [one["mount"] for one in answer["partitions"][1:]] == [""] * 5
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


def test_a_partition_behind_the_end_is_never_mounted(tmp_path: Path, root: Path) -> None:
    """The image is shorter than its disk was: what fits is mounted, the rest is truncated."""
    image = ntt_media.two_partitions(tmp_path)
    os.truncate(image, ntt_disks.starts_bytes(image)[2] + ntt_disks.MIB)
    answer = ntt_media.mount(image, root)
    assert [(one["num"], one["status"]) for one in answer["partitions"]] == [(1, "ok"), (2, "truncated")]
    assert ntt_media.mounts_below(root) == [root / image.stem]
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE


def test_a_zip_disk_has_its_offset(tmp_path: Path, root: Path) -> None:
    """A file system at byte 16384 is found, and its offset is said."""
    image = tmp_path / f"{new_hash()}.img"
    image.write_bytes(bytes(16384) + make_image(tmp_path / "fs", files=FILES).read_bytes())
    answer = ntt_media.mount(image, root)
    assert (answer["layout"], answer["offset"], answer["fstype"]) == ("single", 16384, "ext4")
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


def test_nothing_to_mount_is_an_error_with_mount_s_own_words(tmp_path: Path, root: Path) -> None:
    """It ends with 1, and the answer says what was found; no device, no mount, no folder is left."""
    image = ntt_media.garbage(tmp_path)
    done = mount_helper("mount", image.stem, image, root=root)
    assert done.returncode == ERROR
    assert "mount: " in done.stderr
    (whole,) = (answer := answer_of(done))["partitions"]
    assert (answer["layout"], whole["num"], whole["mount"], whole["status"]) == ("single", None, "", "failed")
    assert answer.keys() == {"layout", "partitions"}
    ntt_media.assert_nothing_of(image, root)


def test_what_cannot_be_mounted_at_all_is_listed(tmp_path: Path, root: Path) -> None:
    """A disk of nothing but LVM: it ends with 1, and the answer has its group."""
    volume = ntt_disks.lvm(tmp_path / "pv", "vg-old", ["root"])
    image = tmp_path / f"{new_hash()}.img"
    ntt_disks.make_disk(image, "label: dos\nsize=16MiB, type=8e\n", {1: volume})
    done = mount_helper("mount", image.stem, image, root=root)
    assert done.returncode == ERROR
    (only,) = (answer := answer_of(done))["partitions"]
    assert (answer["layout"], only["status"], only["lvm"]["vg_name"]) == ("multi", "lvm_detected", "vg-old")
    ntt_media.assert_nothing_of(image, root)


def test_status_says_where_it_is_mounted(tmp_path: Path, root: Path) -> None:
    """0 and the mounts, or 1 and none."""
    image = ntt_media.two_partitions(tmp_path)
    done = mount_helper("status", image.stem, root=root)
    assert (done.returncode, answer_of(done)) == (ERROR, {"mounted": False, "mounts": [], "devices": []})
    partitions = ntt_media.mount(image, root)["partitions"]
    done = mount_helper("status", image.stem, root=root)
    mounts = [{"device": one["device"], "mount": one["mount"]} for one in partitions]
    expected = {"mounted": True, "mounts": mounts, "devices": oracle.bound_devices(image)}
    assert (done.returncode, answer_of(done)) == (DONE, expected)
    mount_helper("unmount", image.stem, root=root)
    assert mount_helper("status", image.stem, root=root).returncode == ERROR


NO_HASHES = ["", "x" * 32, "a" * 15, "a" * 65, "../" + "a" * 32, "a" * 32 + "\n"]


@pytest.mark.parametrize(
    ("verb", "name"), [*(("mount", name) for name in NO_HASHES), ("unmount", NO_HASHES[-2]), ("status", NO_HASHES[-2])]
)
def test_a_name_that_is_no_hash_is_refused(verb: str, name: str, tmp_path: Path, root: Path) -> None:
    """It ends with 1 and one sentence, and no path is made of it."""
    image = ntt_media.garbage(tmp_path)
    done = mount_helper(verb, name, *([image] if verb == "mount" else []), root=root)
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert "is no hash" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not root.exists()


@pytest.mark.parametrize("arguments", [[], ["mount"], ["mount", "a" * 32], ["detach", "a" * 32], ["unmount"]])
def test_other_arguments_are_a_usage_error(arguments: list[str]) -> None:
    """It ends with 2."""
    done = ntt.run("mount_helper.py", *arguments)
    assert (done.returncode, done.stdout) == (USAGE, "")


def test_an_image_that_is_not_there_leaves_no_folder(tmp_path: Path, root: Path) -> None:
    """It ends with 1."""
    image = tmp_path / f"{new_hash()}.img"
    done = mount_helper("mount", image.stem, image, root=root)
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert str(image) in done.stderr
    ntt_media.assert_nothing_of(image, root)


def test_an_image_that_vanishes_meanwhile_leaves_nothing(tmp_path: Path, root: Path) -> None:
    """It is deleted between attach and mount: whatever came of that, unmount takes all of it away."""
    image = ntt_media.whole_disk(tmp_path)
    environment = ntt.replaced(tmp_path, "blkid", f'rm -f "{image}"')
    mount_helper("mount", image.stem, image, root=root, environment=environment)
    assert not image.exists()
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


def test_a_mount_point_that_is_not_empty_is_not_covered(tmp_path: Path, root: Path) -> None:
    """Somebody's file lies where the medium would be mounted: it ends with 1, and the file is there."""
    image = ntt_media.whole_disk(tmp_path)
    file = root / image.stem / "file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    done = mount_helper("mount", image.stem, image, root=root)
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert str(file.parent) in done.stderr
    assert file.read_bytes() == b"mine"
    assert oracle.bound_to_path(image) == []


def test_a_mount_point_in_use_is_left_alone(tmp_path: Path, root: Path) -> None:
    """Something else is mounted there: it ends with 1, and that is there still."""
    image = ntt_media.whole_disk(tmp_path)
    root.mkdir()
    with mounted("none", root / image.stem, "-t", "tmpfs") as point:
        done = mount_helper("mount", image.stem, image, root=root)
        assert (done.returncode, done.stdout) == (ERROR, "")
        assert str(point) in done.stderr
        assert ntt_media.mounts_below(root) == [point]
    assert oracle.bound_to_path(image) == []


def test_what_is_in_use_is_not_unmounted(tmp_path: Path, root: Path) -> None:
    """It ends with 75 and says who; afterwards it goes, and strangers' devices with it."""
    image = ntt_media.two_partitions(tmp_path)
    strangers = [by_losetup(image) for _ in range(2)]
    ntt_media.mount(image, root)
    with ntt_media.working_in(root / image.stem / "p2") as process:
        done = mount_helper("unmount", image.stem, "--timeout", "0.3", root=root)
        assert (done.returncode, done.stdout) == (BUSY, "")
        assert f"pid {process.pid}" in done.stderr
        assert root / image.stem / "p2" in ntt_media.mounts_below(root)
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    assert not any(map(is_bound, strangers))
    ntt_media.assert_nothing_of(image, root)


def test_unmounting_what_is_not_mounted_is_done(tmp_path: Path, root: Path) -> None:
    """Again and again: 0."""
    image = ntt_media.whole_disk(tmp_path)
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.mount(image, root)
    for _ in range(2):
        assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


def test_sixteen_workers_at_once_make_one_device(tmp_path: Path, root: Path) -> None:
    """All are told the same, and that is what there is."""
    image = ntt_media.two_partitions(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ntt_media.mount(image, root), range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert len(oracle.bound_devices(image)) == 1
    assert ntt_media.mounts_below(root) == [root / image.stem / "p1", root / image.stem / "p2"]
    assert mount_helper("unmount", image.stem, root=root).returncode == DONE
    ntt_media.assert_nothing_of(image, root)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("program", "word"), [("blkid", "-p"), ("mount", "p1 "), ("mount", "p2 ")])
def test_interrupted_it_leaves_nothing(
    program: str, word: str, number: signal.Signals, tmp_path: Path, root: Path
) -> None:
    """Ctrl-C, SIGTERM and SIGHUP, as it looks and as it mounts: 130; no device, no mount, no folder, no program."""
    image = ntt_media.two_partitions(tmp_path)
    environment = ntt.stopped_at(tmp_path, program, word)
    arguments = ("mount", image.stem, image, "--root", root)
    with ntt.start("mount_helper.py", *arguments, environment=environment) as process:
        ntt.wait_for(tmp_path / "stopped")
        process.send_signal(number)
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (INTERRUPTED, ""), errors
    ntt_media.assert_nothing_of(image, root)
    stopped = (tmp_path / "stopped").read_text().strip()
    # Killed it is; it is the child of a shell that was, too, and init may take a moment to see to it.
    oracle.wait_until(lambda: not Path("/proc", stopped).exists(), f"{program} is gone", seconds=60)
