"""``python -m tests.kernels SUITE...``: the tests of real devices on other kernels, in virtual machines.

For each Debian suite its kernel is fetched, booted under QEMU with this machine's programs, and given the tests. The
results go to docs/kernels.md. Exit codes: 0 all passed, 1 some failed, 2 it could not be done.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import sys
import time
from typing import TYPE_CHECKING

from tests.kernels import page, selection
from tests.kernels.machine import Run, make_disk, missing_programs, run_in_machine
from tests.kernels.packages import SUITES, Kernel, NoKernelError, cache_folder, kernel_of
from tests.kernels.results import Result, count, results_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A kernel that goes down in each run is given up after so many machines.
MACHINES = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", default=SUITES, metavar="SUITE", help=f"of {', '.join(SUITES)}; default: all"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEST", help="run this alone, and record nothing"
    )
    chosen = parser.parse_args(arguments)
    unknown = [suite for suite in chosen.suites if suite not in SUITES]
    if unknown:
        parser.error(f"no such suite: {', '.join(map(repr, unknown))}; there are {', '.join(SUITES)}")
    try:
        return max(_try_suite(suite, tuple(chosen.only)) for suite in chosen.suites)
    except NoKernelError as error:
        print(error, file=sys.stderr)
        return 2


def _try_suite(suite: str, only: tuple[str, ...]) -> int:
    missing = missing_programs()
    if missing:
        raise NoKernelError(f"Missing programs: {', '.join(missing)}; 'make test-kernels' as root installs them.")
    kernel = kernel_of(suite)
    print(f"{suite}: {kernel.version}", flush=True)
    results = _run_all(kernel, selection.runs(only))
    for one in results:
        if one.outcome != "passed":
            print(f"{one.outcome}: {one.name}: {one.reason}")
    if not only:
        page.record(kernel, results, dt.datetime.now(tz=dt.UTC).date())
    failed = count(results, "failed")
    print(
        f"{suite}: {count(results, 'passed')} passed, {failed} failed, {count(results, 'skipped')} skipped", flush=True
    )
    return min(failed, 1)


def _run_all(kernel: Kernel, runs: list[Run]) -> list[Result]:
    """Boot as often as it takes: a run that the machine did not survive is not begun again."""
    out = cache_folder() / kernel.suite / "results"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    disk = out / "disk.img"
    for _ in range(MACHINES):
        left = [run for run in runs if not (out / f"{run.name}.started").exists()]
        if not left or (out / "boot.failed").exists():
            break
        make_disk(disk)
        begun = time.monotonic()
        run_in_machine(kernel, left, out, disk)
        print(f"  a machine ran for {time.monotonic() - begun:.0f} s", flush=True)
    disk.unlink(missing_ok=True)
    if (out / "boot.failed").exists():
        raise NoKernelError(f"{kernel.version} booted, but: {(out / 'boot.failed').read_text()} (see {out})")
    if not (out / "kernel").exists():
        raise NoKernelError(f"{kernel.version} did not boot: see {out / 'console.log'}")
    return results_of(runs, out)


if __name__ == "__main__":
    sys.exit(main())
