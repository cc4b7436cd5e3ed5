"""``no_loop_leaks`` on real devices: what is not the test's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.media import new_image
from tests.support.plugin import left_behind, outcomes, run_guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image that is not below the temporary folder of the run, and that its tests know."""
    image = new_image(tmp_path)
    monkeypatch.setenv("ELSEWHERE", str(image))
    return image


@pytest.fixture
def detached_at_last(elsewhere: Path) -> Iterator[None]:
    """Whatever the tests attach there goes at the end."""
    yield
    for device in oracle.bound_to_path(elsewhere):
        oracle.losetup_detach(device)
    oracle.wait_until(lambda: not oracle.bound_to_path(elsewhere), "nothing is attached elsewhere")


@pytest.mark.usefixtures("detached_at_last")
def test_strangers_fail_no_test_and_are_not_touched(pytester: pytest.Pytester, elsewhere: Path) -> None:
    """Another process attaches another image meanwhile: by losetup(8), and by this library on the same ledger."""
    result = run_guarded(
        pytester,
        """
ELSEWHERE = os.environ["ELSEWHERE"]

def test_losetup(image):
    losetup(ELSEWHERE)

def test_library():
    run(sys.executable, "-c", f"from ntt_loops import attach_kept; attach_kept({ELSEWHERE!r})")
    assert list(Path(os.environ["NTT_LOOPS_RUN_DIR"]).glob(f"{Path(ELSEWHERE).stem}.jsonl"))
    with attached(__file__):
        pass

def test_scoped():
    run(sys.executable, "-c", f"from ntt_loops import attached; attached({ELSEWHERE!r}).__enter__()")
""",
    )
    assert (outcomes(result), left_behind(result)) == ({"passed": 3}, {})
    assert len(oracle.bound_to_path(elsewhere)) == 2


@pytest.mark.usefixtures("detached_at_last")
def test_what_this_process_put_on_record_is_its_own_wherever_the_image_is(
    pytester: pytest.Pytester, elsewhere: Path
) -> None:
    """It is named, and left alone: the image may be others' too. What was there before is not the test's."""
    result = run_guarded(
        pytester,
        """
def test_one():
    attach_kept(os.environ["ELSEWHERE"])

def test_two():
    with attached(os.environ["ELSEWHERE"]):
        pass
""",
    )
    assert outcomes(result) == {"passed": 2, "errors": 1}
    assert [re.sub(r"loop\d+", "loopN", line) for line in left_behind(result)["test_one"]] == [
        f"/dev/loopN is bound to '{elsewhere}'"
    ]
    assert len(oracle.bound_to_path(elsewhere)) == 1


WIDE = """
@pytest.fixture(scope="session")
def device(tmp_path_factory):
    image = tmp_path_factory.mktemp("wide") / "wide.img"
    image.write_bytes(bytes(range(256)) * 4096)
    device = attach_kept(image)
    yield device
    {end}

def test_one(device):
    pass

def test_two(device, image):
    with attached(image):
        pass
"""


def test_what_a_wider_fixture_makes_is_not_the_tests(pytester: pytest.Pytester) -> None:
    """As long as it releases it."""
    result = run_guarded(pytester, WIDE.format(end="release_all(device.image)"), "-o", "ntt_loops_no_leaks=true")
    assert outcomes(result) == {"passed": 2}


def test_what_a_wider_fixture_leaves_fails_the_run(pytester: pytest.Pytester) -> None:
    """It is told once, at the end."""
    result = run_guarded(pytester, WIDE.format(end=""), "-o", "ntt_loops_no_leaks=true")
    assert outcomes(result) == {"passed": 2, "errors": 1}
    (told,) = left_behind(result)[""]
    assert re.fullmatch(r"/dev/loop\d+ is bound to '.*/wide\.img' \(it was released now\)", told)
