"""``no_loop_leaks``: descriptors of images and ledgers, on the kernel in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.plugin import left_behind, outcomes

if TYPE_CHECKING:
    import pytest

DESCRIPTORS = """
import pytest
from ntt_loops import attach_kept, release_all

kept = []

@pytest.fixture
def release_later(in_memory_loops):
    images = []
    yield images.append
    for image in images:
        release_all(image)
        kept.append(image.open("rb"))

pytestmark = pytest.mark.usefixtures("no_loop_leaks")

def test_made(loop_image):
    kept.append(loop_image(name="a.img").open("rb"))

def test_deleted(loop_image):
    image = loop_image(name="b.img")
    kept.append(image.open("rb"))
    image.unlink()

def test_attached(tmp_path, release_later):
    image = tmp_path / "c.img"
    image.write_bytes(bytes(512))
    attach_kept(image)
    release_later(image)

def test_ledger(in_memory_loops, loop_image, tmp_path):
    attach_kept(loop_image(name="d.img"))
    kept.append((tmp_path / "ntt-loops" / "d.jsonl").open("rb"))
    in_memory_loops.reboot()

def test_end():
    for file in kept:
        print("NUMBER", file.fileno())
        file.close()
"""


def test_a_descriptor_is_named_with_its_number(pytester: pytest.Pytester) -> None:
    """Of an image, also one that is deleted or was attached by name only, or of a ledger; as in /proc/self/fd."""
    pytester.makepyfile(DESCRIPTORS)
    result = pytester.runpytest("-rP")
    assert outcomes(result) == {"passed": 5, "errors": 4}
    numbers = [line.split()[-1] for line in result.outlines if line.startswith("NUMBER")]
    told = {name: re.sub(r"/\S*0/", "/", line) for name, (line,) in left_behind(result).items()}
    assert told == {
        "test_made": f"descriptor {numbers[0]} is open on /a.img",
        "test_deleted": f"descriptor {numbers[1]} is open on /b.img",
        "test_attached": f"descriptor {numbers[2]} is open on /c.img",
        "test_ledger": f"descriptor {numbers[3]} is open on /ntt-loops/d.jsonl",
    }
