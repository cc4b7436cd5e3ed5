"""``python -m tests.kernels SUITE...``: the tests of real devices on other kernels, in virtual machines.

For each Debian suite its kernel is fetched, booted under QEMU with this machine's programs, and given the tests. The
results go to docs/kernels.md. Exit codes: 0 all passed, 1 some failed, 2 it could not be done.
"""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.kernels import page, selection
from tests.kernels.machine import make_disk, missing_programs, run_in_machine
from tests.kernels.packages import SUITES, Kernel, NoKernelError, cache_folder, kernel_of
from tests.kernels.results import count, results_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.kernels.machine import Run

#: A kernel that goes down in each run is given up after so many machines.
MACHINES = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all."""
    chosen = _arguments(arguments)
    runs = selection.only(chosen.only) if chosen.only else [run for run in selection.runs() if run.name in chosen.run]
    try:
        return max(_try_suite(suite, runs, records=not chosen.only) for suite in chosen.suites)
    except NoKernelError as error:
        print(error, file=sys.stderr)
        return 2


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [run.name for run in selection.runs()]
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    add = parser.add_argument
    add("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; default: all")
    add("--run", action="append", metavar="RUN", choices=names, help=f"of {', '.join(names)}; default: all of them")
    add("--only", action="append", metavar="TEST", help="run this test or file alone, and record nothing")
    chosen = parser.parse_args(arguments)
    unknown = [suite for suite in chosen.suites if suite not in SUITES]
    if unknown:
        parser.error(f"no such suite: {', '.join(map(repr, unknown))}; there are {', '.join(SUITES)}")
    chosen.suites, chosen.run = chosen.suites or SUITES, chosen.run or names
    return chosen


def _try_suite(suite: str, runs: Sequence[Run], *, records: bool) -> int:
    missing = missing_programs()
    if missing:
        raise NoKernelError(f"Missing programs: {', '.join(missing)}; 'make test-kernels' as root installs them.")
    kernel = kernel_of(suite)
    print(f"{suite}: {kernel.version}", flush=True)
    out = cache_folder() / suite / ("results" if records else "only")
    _run_all(kernel, runs, out)
    results = results_of(selection.runs() if records else runs, out)
    for one in results:
        if one.outcome in ("failed", "skipped"):
            print(f"{one.outcome}: {one.name}: {one.reason}")
    if records:
        page.record(kernel, results, dt.datetime.now(tz=dt.UTC).date())
    failed = count(results, "failed")
    print(
        f"{suite}: {count(results, 'passed')} passed, {failed} failed, {count(results, 'skipped')} skipped", flush=True
    )
    return min(failed, 1)


def _run_all(kernel: Kernel, runs: Sequence[Run], out: Path) -> None:
    """Boot as often as it takes: a run that the machine did not survive is not begun again.

    What other runs came to earlier is kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in ("boot.failed", "kernel", "console.log", *(f"{run.name}.*" for run in runs)):
        for path in out.glob(name):
            path.unlink()
    for _ in range(MACHINES):
        left = [run for run in runs if not (out / f"{run.name}.started").exists()]
        if not left or (out / "boot.failed").exists():
            break
        _run_once(kernel, left, out)
    if (out / "boot.failed").exists():
        raise NoKernelError(f"{kernel.version} booted, but: {(out / 'boot.failed').read_text()} (see {out})")
    if not (out / "kernel").exists():
        raise NoKernelError(f"{kernel.version} did not boot: see {out / 'console.log'}")


def _run_once(kernel: Kernel, runs: Sequence[Run], out: Path) -> None:
    disk, begun = out / "disk.img", time.monotonic()
    make_disk(disk)
    try:
        run_in_machine(kernel, runs, out, disk)
    finally:
        disk.unlink(missing_ok=True)
    print(f"  a machine ran for {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the machine is ended, its disk removed
    sys.exit(main())
