"""The method of ``Loops`` that copies a deleted image back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._attachment import Identity, LoopDevice
from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._target import node_parts
from ntt_loops._world import TIMEOUT_SECONDS, HasWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops._attachment import Text
    from ntt_loops._rescue import RescueReport


class Rescues(HasWorld):
    """What ``Loops`` has of rescuing."""

    @kernel_errors()
    def rescue(
        self,
        device: LoopDevice | Text,
        file: Text,
        *,
        part: bool = False,
        progress: Callable[[int, int], object] | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> RescueReport:
        """Copy a deleted image back from the device that still has it, before a release or a sweep lets it go.

        The device is read twice and the copy read back; all three have one SHA-256, or there is no copy. The device is
        opened for reading only and is kept busy meanwhile: nothing is released. The copy gets its name, with mode 0600,
        when it is whole; an interrupt leaves nothing. Zeros become holes.

        Args:
            device: A device, or its path.
            file: Where to; nothing may be there.
            part: Whether to copy what a device shows that has an offset or a size limit. By default that is refused:
                such a copy is not the image.
            progress: Called with the bytes that were read so far and those that will be, of all three readings.
            timeout: Seconds for the look at the device, where its storage may hang; the copy takes as long as it takes.

        Returns:
            What was copied, and which bytes of the image were not. No loop device shows those after the last whole
            sector of 512.

        Raises:
            RescueError: Nothing is attached there; its image is not deleted; the file is there; the disk is full; what
                is read cannot be trusted, because somebody writes or the number changed hands. No file is left.
            LoopPermissionError: The device may not be opened.
            LedgerError: The ledger folder is not to be trusted.
            ValueError: That is no loop device's path, or a partition's.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or read access to the node. Cost grows with the size of the device, three times.
        """
        from ntt_loops._rescue import Request, rescue  # noqa: PLC0415 - hardly any process needs it

        number, partition = node_parts(device)
        if partition is not None:
            message = f"{os.fspath(device)} is a partition, and an image is rescued whole: name its disk"
            raise ValueError(message)
        identity = Identity.of_device(device) if isinstance(device, LoopDevice) else None
        request = Request(number, identity, os.path.abspath(os.fspath(file)), part, progress)
        return rescue(*self._world(), request, Deadline.after(timeout))
