"""What is run on each kernel: the tests of real devices, but for what would say nothing about a kernel."""

from __future__ import annotations

from typing import Final

from tests.kernels.machine import PROJECT, Run

#: Without KVM a test takes ten to thirty times as long.
RUN_SECONDS: Final = 3600
FILES_PER_RUN: Final = 8

#: Files and tests that are not run there, each with the reason, which docs/kernels.md shows.
LEFT_OUT: Final[dict[str, str]] = {}


def runs(only: tuple[str, ...] = ()) -> list[Run]:
    """Return the runs of pytest, each with a name; ``only`` are files or tests in place of all."""
    if only:
        return [_run("chosen", only)]
    files = [str(path.relative_to(PROJECT)) for path in sorted((PROJECT / "tests/kernel").glob("test_*.py"))]
    facts = tuple(name for name in files if "kernel_facts" in name)
    others = [name for name in files if name not in facts and name not in LEFT_OUT]
    named = [("facts", facts), ("contract", ("tests/contract",))]
    parts = range(0, len(others), FILES_PER_RUN)
    named += [
        (f"devices-{1 + begin // FILES_PER_RUN}", tuple(others[begin : begin + FILES_PER_RUN])) for begin in parts
    ]
    return [_run(name, some) for name, some in named]


def _run(name: str, targets: tuple[str, ...]) -> Run:
    left_out = [f"--deselect={test}" for test in LEFT_OUT if "::" in test]
    return Run(name, ["-m", "kernel", *targets, *left_out], RUN_SECONDS)
