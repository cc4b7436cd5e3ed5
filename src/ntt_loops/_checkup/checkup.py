"""All checks, in the order in which they build on each other."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops._checkup.kernel_checks import kernel_checks
from ntt_loops._checkup.tool_checks import tool_checks
from ntt_loops._checkup.trial import Trial
from ntt_loops._checkup.upkeep_checks import upkeep_checks
from ntt_loops._checkup.values import MachineReport

if TYPE_CHECKING:
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger


def check_machine(kernel: Kernel, ledger: Ledger, deadline: Deadline) -> MachineReport:
    """Look at everything, and try it."""
    machine = kernel.machine(os.fsencode(os.path.abspath(ledger.run_dir)))
    return MachineReport(
        (
            *kernel_checks(machine, _bound(kernel)),
            *upkeep_checks(kernel, ledger, machine),
            *tool_checks(machine),
            *Trial(kernel, ledger, deadline).checks(),
        )
    )


def _bound(kernel: Kernel) -> int | None:
    try:
        return len(kernel.bound_numbers())
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return None
