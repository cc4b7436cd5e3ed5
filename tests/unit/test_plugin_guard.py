"""``no_loop_leaks`` on the kernel in memory: what it names, and what it lets be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.plugin import left_behind, outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

HEAD = """
import os
import pytest
from ntt_loops import attach_kept, attached, mount_medium, release_all
from ntt_loops.testing import MemoryKernel, in_memory

pytestmark = pytest.mark.usefixtures("no_loop_leaks")
kept = []

@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.img"
    path.write_bytes(bytes(2**20))
    return path

def leave_a_partition(kernel, image):
    kernel.add_partition(kernel.attach_foreign(image, partscan=False), 3, 512, 512)
    handle = kernel.open(0)
    kernel.clear(handle)
    handle.close()

"""


def judged(pytester: pytest.Pytester, bodies: Mapping[str, str]) -> dict[str, list[str]]:
    """Run a test for each body, and return what the guard says of each."""
    tests = [
        f"def test_{number}(in_memory_loops, image, tmp_path):\n    kernel = in_memory_loops\n    {body}\n"
        for number, body in enumerate(bodies.values())
    ]
    pytester.makepyfile("\n".join([HEAD, *tests, "def test_end():\n    for one in kept: one.close()"]))
    result = pytester.runpytest()
    found = left_behind(result)
    assert outcomes(result) == {"passed": len(bodies) + 1} | ({"errors": len(found)} if found else {})
    return {
        name: [re.sub(r"/[^' ]*/test_\d+0/", "/", line) for line in found.get(f"test_{number}", [])]
        for number, name in enumerate(bodies)
    }


CLEAN = {
    "nothing": "pass",
    "a with block": "with attached(image): pass",
    "released": "attach_kept(image); release_all(image)",
    "a stranger who let go": "kernel.attach_foreign(image); release_all(image)",
    "power off": "kernel.open_elsewhere(kernel.attach_foreign(image)); kernel.reboot()",
    "an image that was open": "os.close(os.open(image, os.O_RDONLY))",
    "a cycle": "a = [image.open('rb')]; a.append(a); a[0].close()",
    "another file": "kept.append(open(tmp_path / 'log', 'w'))",
}


def test_a_test_that_leaves_nothing_passes(pytester: pytest.Pytester) -> None:
    """Nor is a file of its own, which is no image, anything to it."""
    assert judged(pytester, CLEAN) == {name: [] for name in CLEAN}


BOUND = "in memory: /dev/loop0 is bound to '/a.img'"
LEAKS = {
    "kept": ("attach_kept(image)", [BOUND]),
    "scoped, never left": ("kept.append(attached(image)); kept[-1].__enter__()", [BOUND]),
    "a stranger's": ("kernel.attach_foreign(image)", [BOUND]),
    "deleted": ("attach_kept(image); image.unlink()", ["in memory: /dev/loop0 is bound to '/a.img (deleted)'"]),
    "partitions": (
        "attach_kept(image); kernel.add_partition(0, 1, 512, 512); kernel.add_partition(0, 2, 1024, 512)",
        [f"{BOUND}, with /dev/loop0p1, /dev/loop0p2"],
    ),
    "a mount": ("kernel.format(image, 'ext4'); mount_medium(image, root=tmp_path)", [f"{BOUND}, mounted at /a"]),
    "a stack": (
        "kernel.stack_loop(kernel.attach_foreign(image))",
        [BOUND, "in memory: /dev/loop1 is bound to '/dev/loop0'"],
    ),
    "two": ("attach_kept(image); attach_kept(image)", [BOUND, "in memory: /dev/loop1 is bound to '/a.img'"]),
    "a kernel of its own": ("with in_memory() as own: own.attach_foreign(image)", [BOUND]),
    "a partition without a device": (
        "leave_a_partition(kernel, image)",
        ["in memory: partition /dev/loop0p3 is left on a device that is bound to nothing"],
    ),
}


def test_what_is_left_fails_the_test_and_is_named(pytester: pytest.Pytester) -> None:
    """Each device with its image, its partitions and its mounts."""
    told = judged(pytester, {name: body for name, (body, _) in LEAKS.items()})
    assert told == {name: sentences for name, (_, sentences) in LEAKS.items()}


def test_a_kernel_that_is_older_than_the_test_is_judged_by_what_came(pytester: pytest.Pytester) -> None:
    """What a wider fixture made is not the test's, what the test left in it is."""
    pytester.makepyfile(
        HEAD
        + """
@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    image = tmp_path_factory.mktemp("wide") / "wide.img"
    image.write_bytes(bytes(4096))
    with in_memory() as kernel:
        kernel.format(image, "ext4")
        mount_medium(image, root=image.parent)
        yield kernel

def test_before(kernel):
    assert kernel.bound_numbers() == [0]

def test_leaves(kernel, image):
    attach_kept(image)

def test_mounts(kernel, tmp_path):
    kernel.mount(1, tmp_path / "mnt")

def test_after(kernel):
    assert kernel.bound_numbers() == [0, 1]
"""
    )
    result = pytester.runpytest()
    assert outcomes(result) == {"passed": 4, "errors": 2}
    told = left_behind(result)
    (device,), (mount,) = told["test_leaves"], told["test_mounts"]
    assert device.startswith("in memory: /dev/loop1 is bound to ")
    assert mount.startswith("in memory: a file system is mounted at ")


EVERY_TEST = """
import pytest
from ntt_loops import attach_kept

def test_leaves(in_memory_loops, loop_image):
    attach_kept(loop_image())

@pytest.mark.loop_leaks_allowed("the next one takes it")
def test_may(in_memory_loops, loop_image):
    attach_kept(loop_image())

class TestMethods:
    def test_leaves_too(self, in_memory_loops, loop_image):
        attach_kept(loop_image())

def test_leaves_nothing():
    pass
"""


def test_one_line_is_for_all_tests(pytester: pytest.Pytester) -> None:
    """Without it nobody is watched, with it all but the marked one."""
    pytester.makepyfile(EVERY_TEST)
    assert outcomes(pytester.runpytest()) == {"passed": 4}
    pytester.makeini("[pytest]\nntt_loops_no_leaks = true")
    result = pytester.runpytest("--strict-markers")
    assert outcomes(result) == {"passed": 4, "errors": 2}
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaves *", "*ERROR at teardown of TestMethods.test_lea*"])


def test_it_is_the_same_in_a_process_of_its_own(pytester: pytest.Pytester) -> None:
    """As it is run from a shell."""
    pytester.makepyfile(EVERY_TEST)
    result = pytester.runpytest_subprocess("-o", "ntt_loops_no_leaks=true")
    assert outcomes(result) == {"passed": 4, "errors": 2}
    assert list(left_behind(result)) == ["test_leaves", "TestMethods.test_leaves_too"]


def test_a_test_that_fails_is_told_for_its_own_reason_too(pytester: pytest.Pytester) -> None:
    """What it left comes beside, and what its traceback still holds is only what it left."""
    pytester.makepyfile(
        """
        from ntt_loops import attached

        def test_fails(no_loop_leaks, in_memory_loops, loop_image):
            image = loop_image()
            with attached(image), image.open("rb") as file:
                assert file.read() == b"something else"
        """
    )
    result = pytester.runpytest()
    assert (outcomes(result), left_behind(result)) == ({"failed": 1}, {})


def test_a_ledger_that_is_not_to_be_trusted_is_no_trouble(pytester: pytest.Pytester) -> None:
    """The library refuses it; what was attached all the same is told."""
    pytester.makepyfile(
        HEAD
        + """
def test_one(image, tmp_path):
    from ntt_loops import LedgerError
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with in_memory(run_dir=tmp_path / "run") as kernel:
        with pytest.raises(LedgerError):
            attach_kept(image)
        kernel.attach_foreign(image)
"""
    )
    (told,) = left_behind(pytester.runpytest())["test_one"]
    assert re.fullmatch(r"in memory: /dev/loop0 is bound to '.*/a\.img'", told)


def test_where_there_is_no_sysfs_memory_is_judged_all_the_same(pytester: pytest.Pytester) -> None:
    """On another system there is no real kernel to look at."""
    pytester.makeconftest(
        """
        import os, sys
        sys.modules["ntt_loops._kernel.linux"] = None
        access = os.access
        os.access = lambda path, mode, **more: path != "/sys/block" and access(path, mode, **more)
        """
    )
    pytester.makepyfile(EVERY_TEST)
    result = pytester.runpytest_subprocess("-o", "ntt_loops_no_leaks=true")
    assert outcomes(result) == {"passed": 4, "errors": 2}
    assert list(left_behind(result)) == ["test_leaves", "TestMethods.test_leaves_too"]
