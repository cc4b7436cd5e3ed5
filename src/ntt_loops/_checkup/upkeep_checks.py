"""The ledger folder, and what is done at boot and by the clock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._checkup.values import judged
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._checkup.values import Check
    from ntt_loops._kernel import Kernel
    from ntt_loops._kernel.machine import Machine
    from ntt_loops._ledger import Ledger

_IN_MEMORY = ("tmpfs", "ramfs")


def upkeep_checks(kernel: Kernel, ledger: Ledger, machine: Machine) -> Iterator[Check]:
    """Yield the checks."""
    yield _run_dir(kernel, ledger, machine)
    yield _tmpfiles(ledger, machine)
    yield _timer(machine)
    found = "udev runs; it opens each new device for a moment, which is waited for"
    yield judged("udev", found if machine.has_udev else "udev does not run; nothing here needs it")


def _run_dir(kernel: Kernel, ledger: Ledger, machine: Machine) -> Check:
    path = os.path.abspath(ledger.run_dir)
    on = f"{path} is on {machine.run_dir_fstype or 'nothing that is known'}"
    if kernel.may_hang([os.fsencode(path)])[0]:
        return judged("run_dir", f"{on}, which may never answer", failed="name a folder on tmpfs: NTT_LOOPS_RUN_DIR")
    try:
        is_there = ledger.registry() is not None
    except LedgerError as error:
        return judged("run_dir", str(error), failed=f"look who made it; as root: chown root {path}; chmod 0700 {path}")
    found = on if is_there else f"{on}; the first attach makes it"
    if machine.run_dir_fstype in _IN_MEMORY:
        return judged("run_dir", found)
    return judged(
        "run_dir", found, warning="name a folder on tmpfs, NTT_LOOPS_RUN_DIR: each attach writes a record there"
    )


def _tmpfiles(ledger: Ledger, machine: Machine) -> Check:
    if machine.is_in_tmpfiles:
        return judged("tmpfiles", f"{ledger.run_dir} is made at boot")
    if not machine.has_systemd:
        return judged("tmpfiles", "no systemd; the first attach makes the folder")
    advice = "install examples/systemd/ntt-loops.conf in /etc/tmpfiles.d, for services that may write to it only"
    return judged("tmpfiles", f"no tmpfiles.d makes {ledger.run_dir}", warning=advice)


def _timer(machine: Machine) -> Check:
    if machine.is_swept:
        return judged("timer", "devices of deleted images are swept now and then")
    if machine.has_systemd:
        advice = "install and enable ntt-loops-sweep.timer, see examples/systemd"
    else:
        advice = "have cron run 'ntt-loops sweep' once an hour"
    return judged("timer", "nothing sweeps: neither ntt-loops-sweep.timer nor cron", warning=advice)
