"""Which mount a path lies on, against the definition: the longest mount point that is a beginning of it."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from ntt_loops._kernel import mountinfo
from ntt_loops._kernel.mountinfo import Line

NAMES = st.lists(st.sampled_from([b"a", b"ab", b"b"]), max_size=4)
PATHS = NAMES.map(lambda names: b"/" + b"/".join(names))
LINES = st.lists(PATHS.map(lambda point: Line(1, point, "ext4", point, 1)), max_size=6)


def by_definition(path: bytes, lines: list[Line]) -> Line | None:
    """Return the mount, having looked at each."""
    best: Line | None = None
    for line in lines:
        point = line.mount_point.rstrip(b"/")
        is_above = path == point or path.startswith(point + b"/")
        if is_above and (best is None or len(line.mount_point) >= len(best.mount_point)):
            best = line
    return best


@given(PATHS, LINES)
def test_the_longest_mount_point_above_a_path_is_found(path: bytes, lines: list[Line]) -> None:
    """Of two on one point it is the later."""
    found = mountinfo.mount_of(path, mountinfo.by_point(lines))
    assert found is by_definition(path, lines)


@given(NAMES.map(b"/".join), LINES)
def test_a_path_that_is_not_absolute_lies_on_none(path: bytes, lines: list[Line]) -> None:
    """Nobody knows where it begins."""
    assert mountinfo.mount_of(path, mountinfo.by_point(lines)) is None
