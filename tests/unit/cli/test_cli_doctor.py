"""``ntt-loops doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


def test_a_good_machine_is_status_0(cli: CommandLine, kernel: MemoryKernel) -> None:
    """A table, and the verdict at its end; a warning does not change it."""
    done = cli("doctor")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1].split()[:2] == ["ok", "kernel"]
    assert done.out.splitlines()[-1] == "This machine keeps the promises: 0 failed, 0 warnings."
    kernel.machine_has(is_swept=False)
    done = cli("doctor")
    assert (done.status, done.out.splitlines()[-1].endswith("0 failed, 1 warning.")) == (0, True)


def test_a_promise_that_is_not_kept_is_status_1(cli: CommandLine, kernel: MemoryKernel) -> None:
    """The line after it says what to do."""
    kernel.machine_has(release="5.4.0")
    done = cli("doctor")
    lines = done.out.splitlines()
    assert done.status == 1
    assert lines[1].split() == ["failed", "kernel", "Linux", "5.4.0,", "without", "LOOP_CONFIGURE"]
    assert lines[2].strip() == "-> boot Linux 5.8 or newer"
    assert lines[-1] == "This machine does not keep the promises: 1 failed, 0 warnings."
    report = cli("doctor", "--json")
    assert (report.status, report.json["keeps_promises"]) == (1, False)
    assert report.json["checks"][0]["status"] == "failed"
