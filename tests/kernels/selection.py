"""What is run on each kernel: the tests of real devices, but for what would say nothing about a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.kernels.machine import PROJECT, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Without KVM a test takes ten to thirty times as long.
RUN_SECONDS: Final = 3600
FILES_PER_RUN: Final = 8

_PROGRAMS: Final = (
    "the programs of examples/ntt and what they print: the devices below them are those of the other tests"
)
_COMMAND_LINE: Final = "what the command line prints and how it ends: it calls what the other tests call"
_DOCUMENTS: Final = "examples of the documentation, made of what the other tests call"
_SIGNALS: Final = "hundreds of signals at any moment: it is frames of Python that they hit"
_BOOKS: Final = "names, tags, ledger files, users: nothing that kernels do differently, and many tests"
_CHROOT: Final = "the tests run in a chroot there: what it has as the whole path is another one outside"
_UNITS: Final = "needs systemd as the init process"

#: Files of tests/kernel, and single tests, that are not run there, each with the reason, which docs/kernels.md shows.
LEFT_OUT: Final[dict[str, str]] = {
    **{f"tests/kernel/test_ntt_{name}.py": _PROGRAMS for name in (
        "archiver", "bash", "cleanup_mounts", "lvm", "mount_helper", "orchestrator", "whole")},
    **{f"tests/kernel/test_cli_{name}.py": _COMMAND_LINE for name in ("interrupt", "run", "shell", "terminal")},
    **{f"tests/kernel/test_{name}.py": _DOCUMENTS for name in ("from_bash", "how_to", "pictures", "pipeline_example")},
    **{f"tests/kernel/test_{name}.py": _SIGNALS for name in (
        "attached_interrupt", "attached_signals", "interrupt_kept", "release_interrupt")},
    **{f"tests/kernel/test_{name}.py": _BOOKS for name in (
        "attached_extent", "attached_moves", "mounted_place", "refused", "release_lost_ledger", "release_names",
        "security", "sweep_dry_run", "sweep_records")},
    "tests/kernel/test_systemd_sandbox.py": _UNITS,
    "tests/kernel/test_kernel_facts_names.py::test_f49_backing_file_is_told_from_the_root_of_the_reader": _CHROOT,
    "tests/kernel/test_release_busy.py::test_the_command_in_the_hint_frees_it": _CHROOT,
    "tests/kernel/test_release_namespaces.py::test_an_image_of_another_namespace_is_released": _CHROOT,
}  # fmt: skip

#: The tests that were written for these kernels come right after the facts.
FIRST: Final = ("old_media", "parsers", "stacked_devices", "udev")
#: Those of storage that does not answer are the last: what they leave where they fail may hang.
LAST: Final = (
    "field_image",
    "mount_dead_storage",
    "mount_hangs",
    "mount_orphaned",
    "sweep_killed_reader",
    "sweep_stuck",
    "sweep_stuck_elsewhere",
)


def only(tests: Sequence[str]) -> list[Run]:
    """Return the run of these files or tests, whatever else is chosen or left out."""
    return [Run("only", tests, RUN_SECONDS)]


def runs() -> list[Run]:
    """Return the runs of pytest, each with a name."""
    files = [str(path.relative_to(PROJECT)) for path in sorted((PROJECT / "tests/kernel").glob("test_*.py"))]
    facts = tuple(name for name in files if "kernel_facts" in name)
    first, last = (tuple(f"tests/kernel/test_{name}.py" for name in names) for names in (FIRST, LAST))
    others = [name for name in files if name not in facts + first + last and name not in LEFT_OUT]
    named = [("facts", facts), ("features", first), ("contract", ("tests/contract",))]
    parts = range(0, len(others), FILES_PER_RUN)
    named += [
        (f"devices-{1 + begin // FILES_PER_RUN}", tuple(others[begin : begin + FILES_PER_RUN])) for begin in parts
    ]
    return [_run(name, some) for name, some in [*named, ("stuck", last)]]


def _run(name: str, targets: tuple[str, ...]) -> Run:
    left_out = [f"--deselect={test}" for test in LEFT_OUT if "::" in test]
    return Run(name, ["-m", "kernel", *targets, *left_out], RUN_SECONDS)
