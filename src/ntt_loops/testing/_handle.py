"""An open device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntt_loops._kernel.protocol import Handle
    from ntt_loops.testing._device import Device, Use
    from ntt_loops.testing._machine import Machine


class MemoryHandle:
    """One opener of a device, no descriptor of this process. Collected open it closes, with a ResourceWarning."""

    def __init__(self, machine: Machine, device: Device, use: Use) -> None:
        self._machine = machine
        self.device = device
        self.use = use

    @property
    def closed(self) -> bool:
        """Whether it was closed; its process killed or the machine rebooted is closed, too."""
        return not self.use.is_open

    def close(self) -> None:
        """Close it; again does nothing. AssertionError where that would hang: ``Kernel.close`` has ``within``."""
        self.close_within(None)

    def close_within(self, within: float | None) -> None:
        """Close it; StuckError where the close hangs, which leaves the device open to who waits for it (F21)."""
        with self._machine as machine:
            if self.closed:
                return
            if not machine.would_hang_at_close_of(self.device, self.use):
                self.device.close(self.use)
                return
            if within is not None:
                machine.let_go(self.device, self.use)
            machine.ask(self.device, within)

    def __del__(self) -> None:
        if not self.closed:
            self._machine.collect(self.device, self.use)
            warnings.warn(f"unclosed loop{self.device.number}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<MemoryHandle of loop{self.device.number}, {state}>"


class ForeignHandle(MemoryHandle):
    """A descriptor of another process, which needs no reference in this one."""

    def __del__(self) -> None:
        """Do nothing."""


def opened(machine: Machine, device: Device, use: Use) -> MemoryHandle:
    """Open a device: the handle is there before the opener counts, so that no signal can lose it."""
    handle = MemoryHandle(machine, device, use)
    device.open(use)
    return handle


def own(handle: Handle) -> MemoryHandle:
    """Return an open handle of the kernel in memory; ValueError for a closed one, as a file says it."""
    if not isinstance(handle, MemoryHandle):
        message = f"{handle!r} was opened by another kernel"
        raise TypeError(message)
    if handle.closed:
        raise ValueError("I/O operation on closed file")
    return handle
