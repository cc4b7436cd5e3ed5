"""Where the interpreter's time in a cycle goes: cProfile, by room of the library and by library."""

from __future__ import annotations

import cProfile
import pstats
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

from ntt_loops import attach_kept, release_all
from tests.benchmarks import cycle, release
from tests.benchmarks.measuring import Row

if TYPE_CHECKING:
    from tests.benchmarks.place import Place

GROUPS: Final = "a cycle, by room"
FUNCTIONS: Final = "a cycle, by function, the first fifteen"
RELEASE: Final = f"`release_all` of {release.DEVICES} devices, each, by room"
_ROOM: Final = re.compile(r"/ntt_loops/(\w+)")
#: Functions of C that are one system call each, or nearly.
_SYSTEM: Final = re.compile(r"method (posix|fcntl)\.|_io\.FileIO|_io\.open|method '\w+' of '_io\.")


def measure(place: Place) -> list[Row]:
    """Profile cycles, then releases. The profiler slows down Python's own calls: the shares are right in order only."""
    image = place.image()
    cycles, rounds = place.extent.of(2000, 50), place.extent.of(10, 1)
    cycle.scoped(image)
    own, releases = cProfile.Profile(), cProfile.Profile()
    for _ in range(cycles):
        own.runcall(cycle.scoped, image)
    for _ in range(rounds):
        for _ in range(release.DEVICES):
            attach_kept(image)
        releases.runcall(release_all, image.stem)
    times = _own_times(own)
    functions = {_told(*function): seconds for function, seconds in _first(times, 15)}
    return [
        *_rows(GROUPS, _grouped(times), cycles),
        *_rows(FUNCTIONS, functions, cycles),
        *_rows(RELEASE, _grouped(_own_times(releases)), rounds * release.DEVICES),
    ]


def _grouped(times: dict[tuple[str, str], float]) -> dict[str, float]:
    groups: defaultdict[str, float] = defaultdict(float)
    for (file, name), seconds in times.items():
        groups[group_of(file, name)] += seconds
    return dict(_first(groups, 12))


def _own_times(profile: cProfile.Profile) -> dict[tuple[str, str], float]:
    stats = cast("dict[tuple[str, int, str], Any]", pstats.Stats(profile).stats)  # type: ignore[attr-defined]
    own: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (file, _, name), (_, _, seconds, _, _) in stats.items():
        own[file, name] += seconds
    return dict(own)


def _first(times: dict[Any, float], count: int) -> list[tuple[Any, float]]:
    return sorted(times.items(), key=lambda one: one[1], reverse=True)[:count]


def group_of(file: str, name: str) -> str:
    """Return the room of the library, the library, or what kind of built-in it is."""
    room = _ROOM.search(file)
    if room is not None:
        return f"`{room[1]}`"
    if "attrs generated" in file:
        return "attrs: what it generated"
    if file == "~":
        return "system calls, as posix, fcntl and io make them" if _SYSTEM.search(name) else "other functions in C"
    return f"{file.rsplit('/', 1)[-1].removesuffix('.py')} of the standard library"


def _told(file: str, name: str) -> str:
    if file == "~":
        return f"`{name.removeprefix('<').removesuffix('>')}`"
    room = file.partition("/ntt_loops/")[2] or file.rsplit("/", 1)[-1]
    return f"`{room.removesuffix('.py')}: {name}`"


def _rows(case: str, times: dict[str, float], cycles: int) -> list[Row]:
    return [
        Row(case, name, "time, profiled", "us", value := 1e6 * seconds / cycles, value, value, cycles)
        for name, seconds in times.items()
    ]
