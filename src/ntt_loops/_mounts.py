"""The methods of ``Loops`` that mount and unmount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops._attachment import LoopDevice, Partition, check_medium, checked_path, image_path, medium_of
from ntt_loops._backoff import Deadline
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._target import node_parts
from ntt_loops._world import HasWorld
from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ntt_loops._attachment import Text
    from ntt_loops._medium import ReleaseReport
    from ntt_loops._mounted_medium import MountedMedium, Request

#: Where media are mounted, each in a folder with its id as name.
ROOT = "/mnt/ntt"
#: A mount of one file system: long enough for a slow disk.
MOUNT_SECONDS = 30.0
#: A whole medium, and whoever is mounting it just now.
MEDIUM_SECONDS = 120.0


class Mounts(HasWorld):
    """What ``Loops`` has of mounting."""

    def mounted(
        self,
        device: LoopDevice | Partition | Text,
        at: Text | None = None,
        *,
        fstype: str | None = None,
        timeout: float = MOUNT_SECONDS,
    ) -> AbstractContextManager[Path]:
        """Mount a device or a partition read-only for the length of a ``with`` block, which gets the mount point.

        Nothing on it is changed, also where the device is writable: its journal is not replayed. The options are
        ``ro,nosuid,nodev,noatime``, with ``noload`` for ext3 and ext4, ``norecovery,nouuid`` for XFS,
        ``rescue=nologreplay`` for btrfs, ``norecovery`` for F2FS and NILFS2. mount(8) never has to guess.

        Args:
            device: A device, one of its partitions, or the path of either.
            at: Where: an empty folder, or a path at which one can be made, and is removed again. By default a new one
                in the temporary folder, for this user alone.
            fstype: The file system; by default what blkid(8) finds.
            timeout: Seconds for mounting, and again for unmounting, which waits for those who still work there.

        Returns:
            The context manager. Entering raises MountError, with mount(8)'s own text, or MountTimeoutError, and then
            nothing is mounted and no folder left. Leaving never unmounts lazily: it raises DeviceBusyError when
            somebody still works there, and the mount stays.

        Raises:
            ValueError: That is no loop device, no name of a file system, ``at`` is empty, or the timeout is negative.

        Needs root, mount(8), umount(8) and blkid(8). A few milliseconds, for these programs.
        """
        from ntt_loops._mounting import Source, checked_fstype, mounted  # noqa: PLC0415 - for those who mount

        kernel = self._world().kernel
        number, partition = node_parts(device)
        Deadline.after(timeout)
        if at is not None:
            checked_path(at)
        _check_partition(device)
        diskseq = device.diskseq if isinstance(device, LoopDevice) else None
        source = Source(kernel, number, partition)
        return mounted(source, at, fstype=checked_fstype(fstype), timeout=timeout, diskseq=diskseq)

    @kernel_errors()
    def mount_medium(
        self, image: Text, *, medium: str | None = None, root: Text = ROOT, timeout: float = MEDIUM_SECONDS
    ) -> MountedMedium:
        """Attach an image and mount what is on it, read-only, until it is unmounted; by however many processes at once.

        One file system is mounted at ``root/<medium>``, several at ``root/<medium>/p<number>``. What the medium has
        mounted there already is left as it is and told with ``is_new=False``; where a run was killed in the middle, the
        rest is added. Idle devices of the medium are released first. The device goes with its last mount: also a umount
        by hand frees it. Partitions that reach past the end of the image, members of LVM and RAID, swap and extended
        partitions are told, and not mounted.

        Args:
            image: The image.
            medium: Its id, and the name of its folder; by default the image's name without its last suffix.
            root: Where the media's folders are; made where it is missing. It must be a real folder, no symlink.
            timeout: Seconds for the whole call, the waiting for other processes with the same medium included.

        Returns:
            What is mounted where, and what is not, with mount(8)'s own text.

        Raises:
            ImageError: The image cannot be attached.
            LoopUnavailableError: No loop device can be had.
            AttachError: The kernel refused, or did something else than asked.
            MountError: Nothing of it could be mounted (``.partitions`` says why), its folder is in use, or what is
                mounted there is of another file. Nothing is attached, mounted or left behind by this call.
            MountTimeoutError: So, because of the deadline.
            LedgerError: The ledger cannot be written, or is not to be trusted.
            MediumError: The id cannot be one.
            ValueError: The timeout is negative, or ``root`` is empty.

        Needs root, mount(8), umount(8), blkid(8), and partx(8) where the kernel does not read the table. Some ten
        milliseconds and a few for each partition; a look at all bound devices of the host where it is attached anew.
        """
        from ntt_loops._mounted_medium import mount_medium  # noqa: PLC0415 - for those who mount

        return mount_medium(*self._world(), _request(image, medium, root, timeout))

    def mounted_medium(
        self, image: Text, *, medium: str | None = None, root: Text = ROOT, timeout: float = MEDIUM_SECONDS
    ) -> AbstractContextManager[MountedMedium]:
        """Mount a medium for the length of a ``with`` block.

        Only the block that mounted it unmounts it: one that found it mounted leaves it so.

        Args:
            image: As in ``mount_medium``; so are all others.
            medium: The medium's id.
            root: Where the media's folders are.
            timeout: Seconds for mounting, and again for unmounting.

        Returns:
            The context manager. Entering raises what ``mount_medium`` does; leaving raises DeviceBusyError when
            somebody still works there: then the medium stays mounted.

        Raises:
            MediumError: The id cannot be one.
            ValueError: The timeout is negative, or ``root`` is empty.

        Needs what ``mount_medium`` does.
        """
        from ntt_loops._mounted_medium import mounted_medium  # noqa: PLC0415 - for those who mount

        return mounted_medium(*self._world(), _request(image, medium, root, timeout))

    @kernel_errors()
    def unmount_medium(self, medium: str, *, root: Text = ROOT, timeout: float = MOUNT_SECONDS) -> ReleaseReport:
        """Unmount all of a medium, wherever it is mounted, release every device of it, and remove its folders.

        The counterpart of ``mount_medium``, and ``release_all(medium, unmount=True)`` besides: that says what is found,
        and what is not touched. Again, it does nothing. A folder that cannot be removed is told in ``.problems``.

        Args:
            medium: The medium's id.
            root: Where the media's folders are.
            timeout: Seconds for the whole call; each device gets at least one try.

        Returns:
            What was done.

        Raises:
            DeviceBusyError: Somebody uses a device or works on a mount; all others went (``.report``, ``.holders``).
            MountTimeoutError: Another process was mounting or unmounting this medium all the time.
            ImageWriteError: All is as said, but what was written may not be in an image.
            LedgerError: Another process kept the ledger locked; what was found was released (``.report``).
            LoopPermissionError: A device may not be opened.
            MediumError: The id cannot be one.
            ValueError: The timeout is negative, or ``root`` is empty.

        Needs root and umount(8). Cost grows with the bound devices of the host.
        """
        from ntt_loops._mounted_medium import unmount_medium  # noqa: PLC0415 - for those who mount

        return unmount_medium(*self._world(), check_medium(medium), checked_path(root), timeout)


def _check_partition(device: object) -> None:
    if isinstance(device, Partition) and device.status != "ok":
        message = f"{device} is {device.status}: it is not mounted, since that would hang or cannot be"
        raise MountError(message, device=device, partition=str(device), text=message)


def _request(image: Text, medium: str | None, root: Text, timeout: float) -> Request:
    from ntt_loops._mounted_medium import Request  # noqa: PLC0415 - for those who mount

    path = image_path(image)
    Deadline.after(timeout)
    return Request(path, medium_of(path) if medium is None else check_medium(medium), checked_path(root), timeout)
