"""The pytest plugin: nothing at all where nobody asks for it, and ``in_memory_loops``."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ntt_loops
from ntt_loops import DeviceBusyError, Loops, attached, list_media, release_all
from ntt_loops.cli import main
from tests.support.plugin import outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.pytest_plugin import LoopImages
    from ntt_loops.testing import MemoryKernel

STRANGER = """
import sys

def test_nothing(request):
    print("\\nMODULES", *sorted(sys.modules))
    print("FIXTURES", *request.fixturenames)
    named = request.config.pluginmanager.list_name_plugin()
    print("PLUGINS", *sorted(name for name, plugin in named if "ntt" in name and plugin is not None))
"""


def stranger(pytester: pytest.Pytester, *options: str) -> dict[str, set[str]]:
    """Run somebody else's test in a process of its own, and return what it saw."""
    pytester.makepyfile(STRANGER)
    done = pytester.runpytest_subprocess("-s", *options)
    assert outcomes(done) == {"passed": 1}
    words = [line.split() for line in done.outlines]
    return {line[0]: set(line[1:]) for line in words if line and line[0] in ("MODULES", "FIXTURES", "PLUGINS")}


def test_pytest_finds_it_where_the_package_is_installed() -> None:
    """By the entry point, under the name that ``-p no:ntt_loops`` takes."""
    (found,) = [one for one in importlib.metadata.entry_points(group="pytest11") if one.name == "ntt_loops"]
    assert found.value == "ntt_loops.pytest_plugin"


def test_a_run_that_does_not_ask_gets_nothing(pytester: pytest.Pytester) -> None:
    """Of this package its two files are imported and no module else; no fixture is used, no other hook is there."""
    without = stranger(pytester, "-p", "no:ntt_loops")
    assert not any(name.startswith("ntt_loops") for name in without["MODULES"])
    found = stranger(pytester)
    assert found["MODULES"] - without["MODULES"] == {"ntt_loops", "ntt_loops.pytest_plugin"}
    assert found["FIXTURES"] == without["FIXTURES"]
    assert found["PLUGINS"] == {"ntt_loops"}


def test_it_can_be_imported_without_the_library(pytester: pytest.Pytester) -> None:
    """What it is built on may be missing or broken: somebody else's tests run all the same."""
    pytester.makeconftest("import sys; sys.modules['attrs'] = sys.modules['tenacity'] = None")
    assert stranger(pytester)["PLUGINS"] == {"ntt_loops"}


def test_the_fixtures_are_told(pytester: pytest.Pytester) -> None:
    """``--fixtures`` has each with a sentence, ``--markers`` the marker."""
    pytester.makepyfile("")
    fixtures = pytester.runpytest("--fixtures").outlines
    for name in ("in_memory_loops", "loop_image", "no_loop_leaks"):
        (number,) = [number for number, line in enumerate(fixtures) if line.startswith(f"{name} -- ")]
        assert fixtures[number + 1].startswith("    ")
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.loop_leaks_allowed(reason): *"])


@pytest.mark.parametrize("option", ["ntt_loops_no_leaks", "ntt_loops_require_tools"])
def test_an_option_that_is_neither_yes_nor_no_is_an_error(option: str, pytester: pytest.Pytester) -> None:
    """It is not taken for either."""
    pytester.makepyfile(STRANGER)
    result = pytester.runpytest_subprocess("-o", f"{option}=maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {option} is true or false: *maybe*"])


def test_names_that_were_imported_before_work_in_memory(
    in_memory_loops: MemoryKernel, loop_image: LoopImages, tmp_path: Path
) -> None:
    """``from ntt_loops import attached`` at the head of a file, the package's attribute, and the command line."""
    image = loop_image(name="disk-1.img")
    with attached(image) as device, ntt_loops.attached(image, medium="other") as second:
        assert [device.number, second.number] == in_memory_loops.bound_numbers()
        assert [one.medium for one in list_media()] == ["disk-1", "other"]
        assert sorted(path.name for path in (tmp_path / "ntt-loops").iterdir()) == ["disk-1.jsonl", "other.jsonl"]
    assert main(["release", str(image)]) == 0
    assert in_memory_loops.bound_numbers() == []


def test_the_rest_of_the_world_is_played(in_memory_loops: MemoryKernel, loop_image: LoopImages) -> None:
    """A stranger's device, in use and then not."""
    image = loop_image()
    reader = in_memory_loops.open_elsewhere(in_memory_loops.attach_foreign(image), pid=4711, command="dd")
    with pytest.raises(DeviceBusyError, match="dd"):
        release_all(image, timeout=0)
    reader.close()
    assert len(release_all(image).released) == 1


def test_a_loops_of_ones_own_takes_the_kernel(in_memory_loops: MemoryKernel, tmp_path: Path) -> None:
    """Only the package's functions are swapped."""
    image = tmp_path / "a.img"
    image.write_bytes(bytes(4096))
    with Loops(tmp_path / "run", in_memory_loops).attached(image):
        assert in_memory_loops.bound_numbers() == [0]
        assert list_media() == []


@pytest.mark.parametrize("in_memory_loops", [{"devices": 1, "max_devices": 1}], indirect=True)
def test_the_kernel_is_as_the_parameters_say(in_memory_loops: MemoryKernel, loop_image: LoopImages) -> None:
    """A machine with one device."""
    with attached(loop_image()), pytest.raises(ntt_loops.LoopUnavailableError):
        attached(loop_image(), timeout=0).__enter__()
    assert in_memory_loops.bound_numbers() == []


def test_a_parameter_that_is_none_is_an_error(pytester: pytest.Pytester) -> None:
    """It is named."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("in_memory_loops", [{"rundwon": False}], indirect=True)
        def test_one(in_memory_loops):
            pass
        """
    )
    result = pytester.runpytest()
    assert outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'rundwon'*"])


def test_after_the_test_it_is_the_real_kernel_again(pytester: pytest.Pytester) -> None:
    """Also when the test failed."""
    pytester.makepyfile(
        """
        from ntt_loops._default import DEFAULT

        def test_in_memory(in_memory_loops):
            assert DEFAULT._world().kernel is not in_memory_loops

        def test_after():
            assert DEFAULT.stand_in() is None
        """
    )
    assert outcomes(pytester.runpytest()) == {"failed": 1, "passed": 1}


def test_a_child_process_is_not_in_memory(in_memory_loops: MemoryKernel) -> None:
    """As the documentation warns: it imports the library anew."""
    code = "from ntt_loops._default import DEFAULT; print(DEFAULT.stand_in())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "None\n"
    assert in_memory_loops.bound_numbers() == []
