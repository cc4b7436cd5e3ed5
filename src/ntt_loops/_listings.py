"""The methods of ``Loops`` that only look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._attachment import Holder, Identity, LoopDevice, check_medium, find_holders
from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._target import device_number
from ntt_loops._world import TIMEOUT_SECONDS, HasWorld

if TYPE_CHECKING:
    from ntt_loops._attachment import Text
    from ntt_loops._medium import DeviceState, MediumState


class Listings(HasWorld):
    """What ``Loops`` has of looking."""

    @kernel_errors()
    def list_media(self, medium: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> list[MediumState]:
        """List what is attached, by medium; it changes nothing and takes no lock.

        Args:
            medium: One medium's id; by default all that this ledger or its tags know.
            timeout: Seconds for the whole call: what may hang is asked no longer.

        Returns:
            The media with something attached, sorted by id; devices that somebody else made for the same images, too.

        Raises:
            LedgerError: The ledger folder is not to be trusted.
            LoopPermissionError: The devices may not be opened.
            MediumError: The id cannot be one.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or read access to the nodes. Cost grows with the bound devices of the host and with the media.
        """
        from ntt_loops._medium import list_media  # noqa: PLC0415 - for those who list

        if medium is not None:
            check_medium(medium)
        return list_media(*self._world(), medium, Deadline.after(timeout))

    @kernel_errors()
    def list_devices(
        self, device: LoopDevice | Text | None = None, *, timeout: float = TIMEOUT_SECONDS
    ) -> list[DeviceState]:
        """List every bound device of the host, whoever made it, with its holders; it changes nothing, takes no lock.

        Args:
            device: One device, its path, or that of one of its partitions; by default all.
            timeout: Seconds for the whole call: what may hang is asked no longer.

        Returns:
            The devices, by number; none where nothing is bound.

        Raises:
            LedgerError: The ledger folder is not to be trusted.
            LoopPermissionError: The devices may not be opened.
            ValueError: That is no loop device's path.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Needs root, or read access to the nodes; holders as ``holders`` has them. Cost grows with the bound devices of
        the host times the media, and with its processes and mount namespaces.
        """
        from ntt_loops._medium import list_devices  # noqa: PLC0415 - for those who list

        number = None if device is None else device_number(device)
        return list_devices(*self._world(), number, Deadline.after(timeout))

    @kernel_errors()
    def holders(self, device: LoopDevice | Text) -> list[Holder]:
        """Tell who keeps a device busy.

        Found are mounts in every mount namespace, processes - this one too -, swap, dm and md, and loop devices on top.

        Args:
            device: A device, its path, or that of one of its partitions: all of the disk is looked at.

        Returns:
            The holders that can be seen, each with what to do; empty when there are none, or the device is not bound.

        Raises:
            ValueError: That is no loop device's path.
            KernelError: This machine refused a call: no descriptor or memory is left, or /proc is not there.

        Root sees all of them, others only their own. Cost grows with the processes and mount namespaces of the host.
        """
        kernel = self._world().kernel
        found = find_holders(kernel, device_number(device))
        is_it = not isinstance(device, LoopDevice) or self._is_there(Identity.of_device(device))
        return found if is_it else []  # what came after it on its number is somebody else's

    def _is_there(self, identity: Identity) -> bool:
        kernel = self._world().kernel
        if identity.diskseq is not None:
            return identity.is_bound(kernel)
        from ntt_loops._medium import is_there  # noqa: PLC0415 - for old kernels

        return is_there(kernel, identity, Deadline.after(TIMEOUT_SECONDS))
