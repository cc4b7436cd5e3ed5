"""The folder that something is mounted on for the length of a ``with`` block."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from ntt_loops._kernel import Kernel


class Place:
    """A folder that is there already, or is made and removed again.

    Attributes:
        path: Its path, absolute and without symlinks, as mountinfo has it.
    """

    def __init__(self, kernel: Kernel, at: str | os.PathLike[str] | None) -> None:
        """Choose the path; nothing is made yet. Without ``at`` it is a new one that only this user can enter."""
        self._kernel = kernel
        self.path = os.path.realpath(os.fsencode(_new_name() if at is None else at))
        self._may_be_made = False

    def __str__(self) -> str:
        return os.fsdecode(self.path)

    def make(self) -> None:
        """Make the folder where it is missing; the one that is there must be empty, and nothing mounted on it.

        Raises:
            MountError: It is not; or it cannot be made.
        """
        try:
            if not os.path.lexists(self.path):
                self._may_be_made = True
                os.mkdir(self.path, 0o700)
            elif self.path in self._kernel.mount_points():
                raise self._error("something is mounted there already", errno.EBUSY)
            elif os.listdir(self.path):
                raise self._error("it is not empty", errno.ENOTEMPTY)
        except FileExistsError:
            self._may_be_made = False
            raise self._error("somebody else made it just now", errno.EEXIST) from None
        except MountError:
            raise
        except OSError as error:
            raise self._error(error.strerror or str(error), error.errno or errno.EIO) from error

    def remove(self) -> None:
        """Remove the folder if it was made here, and nothing is in or on it."""
        if not self._may_be_made:
            return
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _error(self, what: str, number: int) -> MountError:
        return MountError(f"{self} cannot be a mount point: {what}", text=what, errno=number)


def _new_name() -> str:
    import tempfile  # noqa: PLC0415 - costs as much as the rest of the library; few calls need it

    return os.path.join(tempfile.gettempdir(), f"ntt-loops-{os.urandom(8).hex()}")
