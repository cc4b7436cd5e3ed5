"""What a cycle and a release cost, counted instead of timed: system calls by kind, and which devices are looked at.

A count is that of the quietest of some runs, since others on this machine cost a second try now and then. Code that
needs a call more changes the number here, and so says that it does; code that needs fewer lowers it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from ntt_loops import Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.support import rawloop
from tests.support.features import require_diskseq
from tests.support.injection import Step, steps_of
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUNS: Final = 20
OTHERS: Final = 12

#: One ``with attached(image)``, from the second on. A kind that is not here is not called at all.
CYCLE: Final = {
    "access": 4,
    "close": 7,
    "flock": 4,
    "getdents64": 4,
    "geteuid": 4,
    "getpid": 3,
    "getrandom": 1,
    "ioctl": 5,
    "open": 7,
    "pread64": 2,
    "readlink": 1,
    "stat": 19,
    "unlink": 1,
    "write": 1,
}
#: One ``release_all`` of the one kept device of a medium, by its id, where nothing else is bound; without reads, of
#: which a longer mountinfo takes more.
RELEASE: Final = {
    "access": 5,
    "close": 14,
    "flock": 4,
    "getdents64": 2,
    "geteuid": 4,
    "ioctl": 9,
    "lseek": 6,
    "open": 15,
    "pread64": 2,
    "stat": 30,
    "unlink": 1,
}
#: How often the list of bound devices is read for it, and how often the mount namespaces of all processes.
LISTS: Final = 2
LOOKS_AT_PROCESSES: Final = 1
#: What each device of others adds to that, however many there are.
OTHER: Final = 34

#: Names that a call goes by on one architecture or another.
NAMES: Final = {
    "faccessat": "access",
    "faccessat2": "access",
    "fstat": "stat",
    "lstat": "stat",
    "newfstatat": "stat",
    "openat": "open",
    "readlinkat": "readlink",
    "unlinkat": "unlink",
}

#: A system call on machines whose clock cannot be read from user space, as some virtual ones, by vdso(7).
CLOCK: Final = "clock_gettime"

BEGIN: Final = "/what-is-counted-begins"
END: Final = "/what-is-counted-ends"
LIST: Final = "/the-list-is-read"
PROCESSES: Final = "/the-processes-are-looked-at"


class ListedKernel(LinuxKernel):
    """Has a list of devices that is given, and no other processes; it marks that it was asked for either."""

    def __init__(self) -> None:
        """Know none."""
        super().__init__()
        self.numbers: list[int] = []

    def bound_numbers(self) -> list[int]:
        """Return the list: what is unbound by now is looked at for nothing, as after any other list."""
        os.access(LIST, os.F_OK)
        return list(self.numbers)

    def is_remote_elsewhere(self) -> bool:
        """Look at nobody."""
        os.access(PROCESSES, os.F_OK)
        return False


def runs_of(work: Callable[[], object], log: Path) -> list[list[Step]]:
    """Return the calls of each run of some work that puts the marks around what is to be counted."""
    runs: list[list[Step]] = []
    is_counted = False
    for step in steps_of(work, log):
        if END in step.text:
            is_counted = False
        elif is_counted:
            runs[-1].append(step)
        if BEGIN in step.text:
            is_counted = True
            runs.append([])
    assert len(runs) == RUNS
    return runs


def marked(work: Callable[[], object]) -> None:
    """Do it between the marks."""
    os.access(BEGIN, os.F_OK)
    work()
    os.access(END, os.F_OK)


def counts(steps: list[Step]) -> Counter[str]:
    """Return how many of each kind; a mark of ours is none, nor is what is a call only where the vDSO has no clock."""
    return Counter(NAMES.get(step.call, step.call) for step in steps if not marks(step) and step.call != CLOCK)


def marks(step: Step) -> set[str]:
    """Return the marks of ours that it is: one or none."""
    return {mark for mark in (LIST, PROCESSES) if f'"{mark}"' in step.text}


def over(steps: list[Step], budget: dict[str, int]) -> dict[str, int]:
    """Return the kinds that are over the budget, with their counts."""
    return {call: count for call, count in counts(steps).items() if count > budget.get(call, 0)}


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library on the real kernel."""
    return Loops(tmp_path / "run")


def cycles(loops: Loops, image: Path, log: Path) -> list[Step]:
    """Return the calls of the quietest of some cycles."""

    def cycle() -> None:
        with loops.attached(image):
            pass

    def work() -> None:
        cycle()  # the first one learns the boot id and its own start time
        for _ in range(RUNS):
            marked(cycle)

    return min(runs_of(work, log), key=len)


def test_a_cycle_stays_within_its_budget(loops: Loops, tmp_path: Path) -> None:
    """No kind of system call is made more often than its budget allows, and no other kind at all."""
    assert over(cycles(loops, new_image(tmp_path), tmp_path / "log"), CYCLE) == {}


def test_the_budget_sees_a_call_too_many(loops: Loops, tmp_path: Path) -> None:
    """The count is that of the calls: with a budget of one call less the same cycle is over it, by its name."""
    steps = cycles(loops, new_image(tmp_path), tmp_path / "log")
    made = counts(steps)
    assert over(steps, {**made, "ioctl": made["ioctl"] - 1}) == {"ioctl": made["ioctl"]}
    assert over(steps, {call: count for call, count in made.items() if call != "flock"}) == {"flock": made["flock"]}


@pytest.fixture
def others(tmp_path: Path) -> Iterator[list[int]]:
    """Devices that have nothing to do with ours."""
    with ExitStack() as stack:
        images = [new_image(tmp_path) for _ in range(OTHERS)]
        yield [stack.enter_context(rawloop.attach(image)).number for image in images]


def test_a_cycle_looks_at_no_other_device(loops: Loops, others: list[int], tmp_path: Path) -> None:
    """Attach and scoped detach ask for one number, and neither list the devices nor name any other one."""
    steps = cycles(loops, new_image(tmp_path), tmp_path / "log")
    named = {int(one) for step in steps for one in re.findall(r'"/(?:dev|sys/block)/loop(\d+)', step.text)}
    assert len(named) == 1
    assert named.isdisjoint(others)
    assert [step.text for step in steps if '"/proc/partitions"' in step.text or '"/sys/block", O_' in step.text] == []


def releases(kernel: ListedKernel, folder: Path, others: list[int]) -> list[Step]:
    """Return the calls of the quietest of some releases of one kept device, with these others on the list."""
    loops, image = Loops(folder / "run", kernel), new_image(folder)

    def one() -> None:
        kernel.numbers = [*others, loops.attach_kept(image).number]
        marked(partial(loops.release_all, image.stem))

    def work() -> None:
        for _ in range(RUNS):
            one()

    return min(runs_of(work, folder / "log"), key=len)


def test_a_release_stays_within_its_budget(tmp_path: Path) -> None:
    """No kind of system call is made more often than its budget allows, and the list is read no more often.

    Where attachments have no number, which one it is is asked of its status, again and again.
    """
    require_diskseq()
    steps = releases(ListedKernel(), tmp_path, [])
    assert over(steps, {**RELEASE, "read": len(steps)}) == {}
    assert sum(LIST in marks(step) for step in steps) <= LISTS
    assert sum(PROCESSES in marks(step) for step in steps) <= LOOKS_AT_PROCESSES


def test_a_release_pays_for_others_by_the_list_only(others: list[int], tmp_path: Path) -> None:
    """Each other device costs the same few calls, whether there are four of them or twelve."""
    require_diskseq()
    alone, some, many = (counts(releases(ListedKernel(), tmp_path, others[:count])) for count in (0, 4, OTHERS))
    assert some.total() - alone.total() <= 4 * OTHER
    assert many.total() - alone.total() <= OTHERS * OTHER
