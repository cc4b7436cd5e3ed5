"""The methods of ``Loops`` that tell how the machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._ledger import LastSweep, last_sweep
from ntt_loops._world import TIMEOUT_SECONDS, HasWorld

if TYPE_CHECKING:
    from ntt_loops._checkup import MachineReport


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
        from ntt_loops._checkup import check_machine  # noqa: PLC0415 - for those who ask

        return check_machine(*self._world(), Deadline.after(timeout))

    @kernel_errors()
    def last_sweep(self) -> LastSweep | None:
        """Tell how the last sweep went that was put on record, as those of the command line and of the timer are.

        Returns:
            The sweep; None where there was none since the machine was started.

        Raises:
            LedgerError: The ledger folder, or the file in it, is not to be trusted.
            KernelError: This machine refused a call: no descriptor is left.

        Needs what the ledger folder needs: root. Constant cost.
        """
        ledger = self._world().ledger
        ledger.registry()  # and so see whether the folder is to be trusted
        return last_sweep.get(ledger)

    @kernel_errors()
    def free_numbers(self) -> int:
        """Tell how many loop devices can be attached beside those that are.

        Returns:
            As many as the kernel has minor numbers for, less what is bound. Memory may end before.

        Raises:
            KernelError: This machine refused a call: sysfs or /proc is not there.

        Needs no privilege. Cost grows with the devices of the host.
        """
        kernel = self._world().kernel
        return max(0, kernel.number_limit() - len(kernel.bound_numbers()))
