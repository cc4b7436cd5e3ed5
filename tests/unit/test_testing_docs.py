"""docs/testing.md and examples/test_stage.py: what they show runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.needs import require_tool
from tests.support.plugin import left_behind, outcomes

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "examples" / "test_stage.py").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_example_runs_without_root(pytester: pytest.Pytester) -> None:
    """By itself, in a folder of its own, and leaves nothing."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    pytester.makepyfile(test_stage=EXAMPLE)
    assert outcomes(pytester.runpytest_subprocess("--strict-markers", "-W", "error")) == {"passed": 2}


def test_the_example_fails_where_the_stage_leaks(pytester: pytest.Pytester) -> None:
    """A stage that forgets to unmount is caught by the very same test."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    block, line = "with mounted_medium(image, root=root) as medium:", "for medium in [mount_medium(image, root=root)]:"
    leaking = EXAMPLE.replace(block, line)
    pytester.makepyfile(test_stage=leaking.replace("mounted_medium,", "mount_medium,"))
    result = pytester.runpytest()
    assert outcomes(result) == {"passed": 2, "errors": 1}
    (told,) = left_behind(result)["test_files_are_copied"]
    assert re.fullmatch(r"in memory: /dev/loop0 is bound to '.*\.img', with /dev/loop0p1, mounted at .*", told)


def test_what_the_document_shows_of_the_example_is_in_it() -> None:
    """Stage and test, word by word; the test has the ten lines of its heading, or fewer."""
    stage, test, *_ = blocks("python")
    assert stage in EXAMPLE
    assert test in EXAMPLE
    assert len(test.splitlines()) <= 10


def test_what_else_it_shows_runs(pytester: pytest.Pytester) -> None:
    """The parameters, the images, and the line of the configuration."""
    require_tool("mkfs.ext4")
    require_tool("sfdisk")
    _, _, parameters, images = blocks("python")
    (configuration,) = blocks("toml")
    pytester.makepyprojecttoml(configuration)
    head = "from __future__ import annotations\nimport pytest\n"
    pytester.makepyfile(f"{head}{parameters}def test_ages(in_memory_loops):\n    pass\n\n{images}")
    result = pytester.runpytest("--setup-show")
    assert outcomes(result) == {"passed": 3}
    assert "no_loop_leaks" in result.stdout.str()


def test_the_marker_and_the_message_are_the_real_ones(pytester: pytest.Pytester) -> None:
    """What the document quotes is what comes."""
    (marker,) = re.findall(r"`(@pytest\.mark\.loop_leaks_allowed\(.*?\))`", DOCUMENT)
    pytester.makepyfile(
        f"""
import pytest
from ntt_loops import attach_kept

{marker}
def test_may(no_loop_leaks, in_memory_loops, loop_image):
    attach_kept(loop_image())

def test_may_not(no_loop_leaks, in_memory_loops, loop_image):
    attach_kept(loop_image(name="disk-12.img"))
"""
    )
    result = pytester.runpytest("--strict-markers")
    assert outcomes(result) == {"passed": 2, "errors": 1}
    (quoted,) = blocks("text")
    assert quoted.splitlines()[0] in result.outlines
    assert re.search(r"/dev/loop7 is bound to '/tmp/.*/disk-12\.img', mounted at ", quoted)
