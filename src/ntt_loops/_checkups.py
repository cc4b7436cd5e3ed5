"""The methods of ``Loops`` that tell how the machine does."""

from __future__ import annotations

from ntt_loops._backoff import Deadline
from ntt_loops._checkup import MachineReport, check_machine
from ntt_loops._world import TIMEOUT_SECONDS, HasWorld
from ntt_loops.errors import kernel_errors


class Checkups(HasWorld):
    """What ``Loops`` has of that."""

    @kernel_errors()
    def check_machine(self, *, timeout: float = TIMEOUT_SECONDS) -> MachineReport:
        """Tell whether this machine keeps the promises.

        It looks at the kernel and its loop driver, privileges, the ledger folder, the tools, and what is done at boot
        and by the clock; then it attaches and releases a small image of its own, in the folder for temporary files.

        Args:
            timeout: Seconds for the attach and the release, each.

        Returns:
            The checks, each with what was found and what to do; what could not be attached is a check that failed.

        Raises:
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root to be of use: others are told what they lack. Some 100 milliseconds, for the programs' versions.
        """
        return check_machine(*self._world(), Deadline.after(timeout))
