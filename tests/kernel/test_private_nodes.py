"""Where /dev has no nodes, private ones made from sysfs do all that the usual ones do, and are gone afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ntt_loops import Loops
from tests.support import oracle, tables
from tests.support.bare_dev import in_bare_dev
from tests.support.images import make_image
from tests.support.media import new_hash, new_image
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024

_START = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from ntt_loops import *
NODES = Path("/dev/ntt-loops")
DEADLINE = time.monotonic() + 60
loops, image = Loops(sys.argv[1]), Path(sys.argv[2])

def nodes():
    return sorted(path.name for path in NODES.iterdir()) if NODES.exists() else None

def say(**what):
    print(json.dumps(what))
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with two partitions, each with bytes of its own."""
    path = new_image(tmp_path, size_bytes=MIB)
    tables.write(path, tables.mbr((8, 8, 0x83), (16, 8, 0x83)))
    with path.open("r+b") as file:
        file.seek(8 * 512)
        file.write(b"one".ljust(8 * 512, b".") + b"two")
    return path


def _heard(code: str, folder: Path, image: Path, **how: Any) -> list[dict[str, Any]]:
    """Run code where /dev is bare; return what it said, and see that nothing is attached any more."""
    before = _START + how.pop("before") if "before" in how else ""
    done = in_bare_dev(_START + code, folder / "run", image, before=before, **how)
    assert done.returncode == 0, done.stderr
    assert not oracle.bound_devices(image)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_block_has_nodes_that_programs_can_open(tmp_path: Path, image: Path) -> None:
    """The device's and the partitions', by their paths; they are not in /dev itself, and go with the block."""
    code = """
with loops.attached(image) as device:
    inside = nodes()
    whole = subprocess.run(["cat", device], capture_output=True, check=True).stdout == image.read_bytes()
    heads = [subprocess.run(["head", "-c", "3", one], capture_output=True, text=True) for one in device.partitions]
    parts = [head.stdout for head in heads]
    say(path=str(device), number=device.number, inside=inside, whole=whole, parts=parts, at_last=nodes(),
        mode=oct(NODES.stat().st_mode), usual=Path(f"/dev/loop{device.number}").exists())
say(left=nodes())
"""
    found, after = _heard(code, tmp_path, image)
    loop = f"loop{found['number']}"
    assert found["path"] == f"/dev/ntt-loops/{loop}"
    assert found["inside"] == [loop]
    assert found["at_last"] == [loop, f"{loop}p1", f"{loop}p2"]
    assert (found["whole"], found["parts"], found["usual"]) == (True, ["one", "two"], False)
    assert found["mode"] == "0o40700"
    assert after == {"left": None}


def test_a_kept_device_is_listed_and_released(tmp_path: Path, image: Path) -> None:
    """Its node stays until then; by the path that it has a holder is asked for, too."""
    code = """
device = loops.attach_kept(image)
listed = [one.device for medium in loops.list_media(device.medium) for one in medium.attachments]
with open(device):
    holders = [one.pid == os.getpid() for one in loops.holders(str(device))]
say(number=device.number, listed=listed, holders=holders, before=nodes())
loops.release(device)
second = loops.attach_kept(image)
freed = loops.release_all(image.stem)
say(left=nodes(), freed=len(freed.released))
"""
    found, after = _heard(code, tmp_path, image)
    assert found["listed"] == [f"/dev/loop{found['number']}"]
    assert found["holders"] == [True]
    assert found["before"] == [f"loop{found['number']}"]
    assert after == {"left": None, "freed": 1}


def test_devices_of_others_are_found_and_released(tmp_path: Path, image: Path) -> None:
    """A release and a sweep make nodes only for as long as they open them."""
    device = oracle.losetup_attach(image)
    code = "report = loops.release_all(image); say(found_by=[one.found_by for one in report.released], left=nodes())"
    (found,) = _heard(code, tmp_path, image)
    assert len(found["found_by"]) == 1
    assert found["left"] is None
    assert device


def test_an_orphan_is_swept(tmp_path: Path, image: Path) -> None:
    """Also one whose node is only here private."""
    code = """
device = loops.attach_kept(image)
other = Path(sys.argv[1]).parent / "other.img"
other.write_bytes(image.read_bytes())
loops.attach_kept(other)
other.unlink()
while not (released := loops.sweep().released) and time.monotonic() < DEADLINE:  # udev may have it open
    time.sleep(0.05)
say(released=[str(one.image) for one in released], left=nodes(), mine=f"loop{device.number}")
loops.release(device)
"""
    (found,) = _heard(code, tmp_path, image)
    assert found["released"] == [str(tmp_path / "other.img")]
    assert found["left"] == [found["mine"]]


_KILLED = """
attachment = loops.attached(image)
device = attachment.__enter__()
assert len(device.partitions) == 2
Path(NODES, ".4711-00000000").touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("call", ["with loops.attached(image): pass", "loops.sweep()", "loops.release_all(image.stem)"])
def test_nodes_of_a_killed_process_are_removed(tmp_path: Path, image: Path, call: str) -> None:
    """The next attach, sweep or release removes what is left of an attachment that ended."""
    code = f"""
before = nodes()
{call}
say(before=before, after=nodes())
"""
    (found,) = _heard(code, tmp_path, image, before=_KILLED)
    assert len(found["before"]) == 4
    # A hidden one may just be in use, until it is a minute old.
    assert found["after"] == [".4711-00000000"]


def test_an_attachment_that_lives_keeps_its_nodes(tmp_path: Path, image: Path) -> None:
    """Other attaches and sweeps leave them alone."""
    code = """
with loops.attached(image) as device:
    parts = device.partitions
    with loops.attached(image):
        pass
    loops.sweep()
    say(there=[one.path.is_block_device() for one in (device, *parts)])
"""
    assert _heard(code, tmp_path, image) == [{"there": [True, True, True]}]


def test_a_node_of_another_partition_is_not_used(tmp_path: Path, image: Path) -> None:
    """Device numbers of partitions are handed out again: a stale node in /dev or of ours is replaced."""
    code = """
with loops.attached(image) as device:
    first, second = device.partitions
    wrong = os.stat(first).st_rdev
    os.unlink(second)
    os.mknod(second, 0o60600, wrong)
    os.mknod(f"/dev/loop{device.number}p2", 0o60600, wrong)
    again = device.partition(2)
    with open(again, "rb") as file:
        say(path=str(again), read=file.read(3).decode())
"""
    (found,) = _heard(code, tmp_path, image)
    assert found["path"].startswith("/dev/ntt-loops/")
    assert found["read"] == "two"


def test_a_partition_can_be_mounted(tmp_path: Path) -> None:
    """mount(8) and blkid(8) are given the private nodes."""
    image = make_image(tmp_path / f"{new_hash()}.img", files={"file": b"content"})
    code = """
with loops.attached(image) as device, loops.mounted(device) as point:
    say(read=Path(point, "file").read_text(), left=nodes() == [f"loop{device.number}"])
say(left=nodes())
"""
    assert _heard(code, tmp_path, image) == [{"read": "content", "left": True}, {"left": None}]


_ATTACH = "loops.attach_kept(image, timeout=600)"


def _refused(folder: Path, image: Path, **how: Any) -> str:
    """Attach where that cannot work; return the last line of the traceback."""
    done = in_bare_dev(_START + _ATTACH, folder / "run", image, **how)
    assert done.returncode == 1, done.stderr
    assert not oracle.bound_devices(image)
    return done.stderr.strip().splitlines()[-1]


def test_without_cap_mknod_it_says_so_at_once(tmp_path: Path, image: Path) -> None:
    """No node, and none can be made: an error that names both, not after the timeout."""
    error = _refused(tmp_path, image, prefix=f"{require_tool('setpriv')} --bounding-set -mknod --inh-caps -mknod")
    assert error.startswith("ntt_loops.errors.LoopUnavailableError")
    assert "there is no /dev/loop" in error
    assert "Operation not permitted" in error
    assert "CAP_MKNOD" in error


def test_on_a_nodev_mount_it_says_so(tmp_path: Path, image: Path) -> None:
    """A node there would open for nobody. loop-control does not either, so that one is bound in."""
    folder = tmp_path / "control"
    folder.touch()
    first = f"mount --bind /dev/loop-control {folder} || exit 98"
    before = f"import os; assert os.system('mount --bind {folder} /dev/loop-control') == 0"
    error = _refused(tmp_path, image, first=first, options="nodev,mode=755", before=before, nodes=["/dev/loop-control"])
    assert "/dev is mounted nodev" in error


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path: Path, image: Path) -> None:
    """What others could put in there is not opened."""
    make = "import os, pathlib; os.mkdir('/dev/ntt-loops'); pathlib.Path('/dev/ntt-loops/.theirs').touch(); "
    for mode in ("0o777", "0o720"):
        before = f"{make} os.chmod('/dev/ntt-loops', {mode})"
        assert "writable by nobody else" in _refused(tmp_path, image, before=before)
    before = f"{make} os.chown('/dev/ntt-loops', 65534, 65534)"
    assert "not a folder of this user" in _refused(tmp_path, image, before=before)


def test_where_the_nodes_are_there_none_is_made(tmp_path: Path, image: Path) -> None:
    """The usual case: the path is the one in /dev."""
    with Loops(tmp_path / "run").attached(image) as device:
        assert str(device) == f"/dev/loop{device.number}"
        assert [str(one) for one in device.partitions] == [f"{device}p1", f"{device}p2"]


def test_a_node_is_of_one_attachment(tmp_path: Path, image: Path) -> None:
    """One of the number's earlier attachment is removed, though the number is bound again; this one's stays."""
    code = """
first = loops.attach_kept(image)
old = NODES / f"loop{first.number}"
os.utime(old, (1, 1))
os.mknod(NODES / f"loop{first.number}p9", 0o60600, os.stat(old).st_rdev)
loops.sweep()
gone = nodes()
again = loops.attach_kept(image)
loops.sweep()
say(gone=gone, there=nodes() == [again.path.name])
loops.release(first)
loops.release(again)
say(left=nodes())
"""
    assert _heard(code, tmp_path, image) == [{"gone": None, "there": True}, {"left": None}]
