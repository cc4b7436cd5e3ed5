"""The budget of a cycle: each of its system calls by strace(1), and what the kernel and the interpreter take in all."""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks import bare, cycle, traced_child
from tests.benchmarks.measuring import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.place import Place

CALLS: Final = "system calls, in turn"
WHOLE: Final = "a whole cycle"
QUANTITIES: Final = ("in all", "in the interpreter", "in the kernel")
_LINE: Final = re.compile(r"^(\w+)\((.*)\) += .* <([\d.]+)>$")


class Call(NamedTuple):
    """A system call that strace saw."""

    name: str
    arguments: str
    microseconds: float


def measure(place: Place) -> list[Row]:
    """Measure cycles with their ledger on tmpfs."""
    image = place.image()
    rows = _whole(place, image)
    if shutil.which("strace") is None:
        return [*rows, Row(CALLS, "strace", missing="not installed")]
    return [*rows, *_call_rows(_traced(place, image), image)]


def _whole(place: Place, image: Path) -> list[Row]:
    rounds, times = place.extent.of(15, 3), place.extent.of(300, 30)
    works: dict[str, Callable[[], object]] = {
        cycle.PYTHON: lambda: bare.cycle(str(image)),
        cycle.TMPFS: lambda: cycle.scoped(image),
    }
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(_spent(work, times))
    return [
        Row.of(WHOLE, name, samples, quantity=quantity)
        for name, spent in taken.items()
        for quantity, samples in zip(QUANTITIES, zip(*spent, strict=True), strict=True)
    ]


def _spent(work: Callable[[], object], times: int) -> tuple[float, float, float]:
    """Return microseconds a call: on the clock, as user, as system."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(times):
        work()
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    spent = (wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
    return tuple(1e6 * seconds / times for seconds in spent)  # type: ignore[return-value]


def _traced(place: Place, image: Path) -> list[Call]:
    log = place.tmpfs / "strace"
    work = [sys.executable, "-m", traced_child.__name__, str(image), str(place.extent.of(200, 10))]
    command = ["strace", "-qq", "-y", "-s", "200", "--syscall-times=ns", "-o", str(log), *work]
    subprocess.run(command, check=True)
    found = map(_LINE.match, log.read_text(errors="replace").splitlines())
    return [Call(one[1], one[2], float(one[3]) * 1e6) for one in found if one is not None]


def _call_rows(calls: Sequence[Call], image: Path) -> list[Row]:
    """Return one row for each call of the usual cycle, less what strace itself takes."""
    added = statistics.median(call.microseconds for call in calls if call.name == traced_child.LEAST)
    cycles = list(_cycles(calls))
    usual, _ = Counter(tuple(call.name for call in one) for one in cycles).most_common(1)[0]
    alike = [one for one in cycles if tuple(call.name for call in one) == usual]
    return [
        Row.of(CALLS, f"{index:02} {_told(at[0], image)}", [max(0.0, call.microseconds - added) for call in at])
        for index, at in enumerate(zip(*alike, strict=True), 1)
    ]


def _cycles(calls: Sequence[Call]) -> Iterator[list[Call]]:
    current: list[Call] | None = None
    for call in calls:
        if traced_child.BEGIN in call.arguments:
            current = []
        elif traced_child.END in call.arguments and current is not None:
            yield current
            current = None
        elif current is not None:
            current.append(call)


def _told(call: Call, image: Path) -> str:
    """Return what is called on what, without what differs from run to run."""
    what = ", ".join(_words(call)).replace("|", " ")
    for pattern, word in (
        (re.escape(str(image)), "IMAGE"),
        (rf'[^ "<]*/run/{re.escape(image.stem)}.jsonl', "LEDGER"),
        (r'[^ "<]*/ntt-bench-\w+/run', "RUN_DIR"),
        (r"loop\d+", "loopN"),
    ):
        what = re.sub(pattern, word, what)
    return f"{call.name}({what})"


def _words(call: Call) -> Iterator[str]:
    """Yield what a descriptor stands for, the path, and an ioctl's name."""
    first, *rest = call.arguments.split(", ")
    descriptor = re.match(r"\d+<(.+)>$", first)
    if descriptor is not None:
        yield descriptor[1]
    path = re.search(r'"(/[^"]*)"', call.arguments)
    if path is not None and call.name not in ("read", "write", "pread64"):
        yield path[1]
    if call.name in ("ioctl", "flock", "lseek"):
        yield rest[0].partition(" ")[0]
