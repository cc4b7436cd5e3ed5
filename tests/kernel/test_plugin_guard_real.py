"""``no_loop_leaks`` on real devices: what it names and undoes, and whose devices it leaves alone."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ntt_loops.pytest_plugin import _watch
from tests.support import oracle, rawloop
from tests.support.features import require_lasting_partitions
from tests.support.media import by_losetup, new_image
from tests.support.needs import require_tool
from tests.support.plugin import HEAD, bare, left_behind, outcomes, run_guarded
from tests.support.rig import private_number

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_is_left(pytester: pytest.Pytester) -> Iterator[None]:
    """What the guard said it had released, it has."""
    yield
    base = pytester.path / "base"
    oracle.wait_until(lambda: not oracle.bound_below(base), f"no device of {base}")


BOUND = "/dev/loopN is bound to 'a.img'"
RELEASED = " (it was released now)"


def test_what_is_left_fails_the_test_is_named_and_released(pytester: pytest.Pytester) -> None:
    """Each of the library's, of losetup(8)'s, of a deleted image, a stack, and each mount."""
    result = run_guarded(
        pytester,
        """
def test_kept(image):
    attach_kept(image)

def test_losetup(image):
    losetup(image)

def test_deleted(image):
    attach_kept(image)
    image.unlink()

def test_by_another_ledger(image, tmp_path):
    Loops(tmp_path / "run").attach_kept(image)

def test_by_a_child(image):
    run(sys.executable, "-c", f"from ntt_loops import attach_kept; attach_kept({str(image)!r})")

def test_stack(image):
    losetup(losetup(image))

def test_tmpfs(tmp_path):
    point = tmp_path / "point"
    point.mkdir()
    run("mount", "-t", "tmpfs", "none", point)

def test_with_block(image):
    with attached(image):
        pass
""",
    )
    assert outcomes(result) == {"passed": 8, "errors": 7}
    assert bare(left_behind(result)) == {
        "test_kept": [f"{BOUND}{RELEASED}"],
        "test_losetup": [f"{BOUND}{RELEASED}"],
        "test_deleted": [f"/dev/loopN is bound to 'a.img (deleted)'{RELEASED}"],
        "test_by_another_ledger": [f"{BOUND}{RELEASED}"],
        "test_by_a_child": [f"{BOUND}{RELEASED}"],
        "test_stack": [f"{BOUND}{RELEASED}", f"/dev/loopN is bound to '/dev/loopN'{RELEASED}"],
        "test_tmpfs": [f"a file system is mounted at point{RELEASED}"],
    }


def test_a_mounted_medium_is_told_with_its_partitions_and_mounts(pytester: pytest.Pytester) -> None:
    """And unmounted, and released, as far as that goes without force."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    result = run_guarded(
        pytester,
        """
def test_one(loop_image, tmp_path):
    image = loop_image(name="a.img", partitions=[{"fstype": "ext4"}, {"fstype": "ext4"}])
    mount_medium(image, root=tmp_path)
""",
    )
    points = "mounted at a/p1, a/p2"
    assert bare(left_behind(result))["test_one"] == [f"{BOUND}, with /dev/loopNp1, /dev/loopNp2, {points}{RELEASED}"]
    assert [point for _, point in oracle.mounts() if point.is_relative_to(pytester.path)] == []


def test_what_is_in_use_stays_and_is_told(pytester: pytest.Pytester) -> None:
    """A scoped device whose owner lives: never by force."""
    result = run_guarded(
        pytester,
        """
def test_owner(image):
    kept.append(attached(image))
    kept[0].__enter__()

def test_end():
    kept.pop().close()
""",
    )
    assert outcomes(result) == {"passed": 2, "errors": 1}
    told = bare(left_behind(result))["test_owner"]
    assert told[0] == f"{BOUND} (in use: it is still there)"
    assert re.fullmatch(r"descriptor \d+ is open on /dev/loopN", told[1])
    assert len(told) == 2


def test_descriptors_of_devices_are_named(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """Of whomever the device is: the descriptor is this process's."""
    image = new_image(tmp_path)
    device = by_losetup(image)
    try:
        result = run_guarded(
            pytester,
            f"""
def test_device():
    kept.append(open({device!r}, "rb"))

def test_control():
    kept.append(open("/dev/loop-control", "rb", buffering=0))

def test_end():
    for file in kept:
        file.close()
""",
        )
    finally:
        oracle.losetup_detach(device)
    assert outcomes(result) == {"passed": 3, "errors": 2}
    told = left_behind(result)
    assert [re.sub(r"\d+", "N", line) for line in told["test_control"]] == ["descriptor N is open on /dev/loop-control"]
    assert [line.partition(" is open on ")[2] for line in told["test_device"]] == [device]


def test_a_partition_that_outlives_its_device_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was seen on a device of the test: after losetup(8) nothing tells any more whose it was."""
    monkeypatch.setattr(_watch, "SETTLE_SECONDS", 0.5)  # it does not go
    require_tool("partx")
    require_tool("sfdisk")
    require_lasting_partitions()
    with private_number() as number:
        node = rawloop.node(number)
        result = run_guarded(
            pytester,
            f"""
@pytest.fixture
def device(loop_image):
    run("losetup", "-r", "{node}", loop_image(partitions=[{{}}]))
    run("partx", "--add", "{node}")
    yield
    run("losetup", "-d", "{node}")

def test_one(device):
    pass
""",
        )
    told = [f"partition {node}p1 is left on a device that is bound to nothing"]
    assert left_behind(result) == {"test_one": told}


def test_a_device_that_goes_in_a_moment_is_waited_for(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel detaches it once somebody else, as udev, has looked at it: here at the guard's first pause."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("GATE", str(gate))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        if not pauses:
            gate.write_text("go on\n")
        pauses.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(_watch, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    result = run_guarded(
        pytester,
        """
READ = 'exec 3<"$1"; echo; read -r line <"$2"'

def test_one(image):
    with pytest.raises(OSError), attached(image, timeout=0) as node:
        kept.append(subprocess.Popen(["sh", "-c", READ, "sh", node, os.environ["GATE"]], stdout=-1))
        kept[0].stdout.readline()

def test_end():
    kept[0].kill()
    kept[0].communicate()
""",
    )
    assert (outcomes(result), left_behind(result)) == ({"passed": 2}, {})
    assert pauses


def test_in_a_process_of_its_own(pytester: pytest.Pytester) -> None:
    """As it is run from a shell, by one line of the configuration file."""
    pytester.makepyfile(HEAD.replace("pytestmark", "_") + "def test_one(image): attach_kept(image)")
    pytester.makeini("[pytest]\nntt_loops_no_leaks = true")
    result = pytester.runpytest_subprocess("--basetemp", pytester.path / "base")
    assert outcomes(result) == {"passed": 1, "errors": 1}
    assert bare(left_behind(result)) == {"test_one": [f"{BOUND}{RELEASED}"]}


def test_images_are_on_a_real_device_what_they_are_in_memory(pytester: pytest.Pytester) -> None:
    """The same test passes on both kernels: places, types, file systems, files."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    tests = """
@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_one(FIXTUREloop_image, tmp_path, label):
    content = {"fstype": "ext4", "files": {"letter.txt": b"Dear Ann", "1994/a b.txt": b"b"}}
    image = loop_image(partitions=[content, {"size_bytes": 512}, content], label=label)
    with attached(image) as device:
        kept.append([(one.number, one.start_bytes, one.size_bytes, one.type, one.status) for one in device.partitions])
    medium = mount_medium(image, root=tmp_path)
    kept.append([(one.number, one.fstype, one.status) for one in medium.partitions])
    for one in (1, 3):
        assert (medium.mount_point / f"p{one}" / "letter.txt").read_bytes() == b"Dear Ann"
        assert (medium.mount_point / f"p{one}" / "1994" / "a b.txt").read_bytes() == b"b"
    release_all(image, unmount=True)

def test_end():
    print("SEEN", kept)
"""
    seen = []
    for fixture in ("", "in_memory_loops, "):
        result = run_guarded(pytester, tests.replace("FIXTURE", fixture), "-rP")
        assert outcomes(result) == {"passed": 3}
        seen += [line for line in result.outlines if line.startswith("SEEN")]
    assert seen[0] == seen[1]


def test_the_example_runs_on_real_devices_too(pytester: pytest.Pytester) -> None:
    """Without the line that says in memory, as the document has it."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    example = (Path(__file__).parents[2] / "examples" / "test_stage.py").read_text(encoding="utf-8")
    pytester.makepyfile(test_stage=example.replace('@pytest.mark.usefixtures("in_memory_loops")', ""))
    result = pytester.runpytest("--basetemp", pytester.path / "base", "-k", "copied", "--setup-show")
    assert outcomes(result) == {"passed": 1, "deselected": 1}
    assert "in_memory_loops" not in result.stdout.str()
