"""Every error of ntt_loops.

::

    NttLoopsError
    ├── MediumError                 also ValueError
    ├── ImageError                  also OSError and ValueError
    │   ├── ImageNotFoundError      also FileNotFoundError
    │   └── ImagePermissionError    also PermissionError
    ├── ImageWriteError             also OSError (EIO)
    ├── AttachError                 also OSError
    │   └── LoopUnavailableError
    │       └── LoopPermissionError also PermissionError
    ├── DeviceBusyError             also OSError (EBUSY)
    ├── LedgerError                 also OSError
    ├── KernelError                 also OSError
    ├── RescueError                 also OSError
    └── MountError                  also OSError
        └── MountTimeoutError       also TimeoutError

Each keeps its facts as attributes, survives pickle, and says in its message what failed, for which medium
and device, and what to do next.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ntt_loops._plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AttachError",
    "DeviceBusyError",
    "ImageError",
    "ImageNotFoundError",
    "ImagePermissionError",
    "ImageWriteError",
    "KernelError",
    "LedgerError",
    "LoopPermissionError",
    "LoopUnavailableError",
    "MediumError",
    "MountError",
    "MountTimeoutError",
    "NttLoopsError",
    "RescueError",
]

Text = str | os.PathLike[str]


class NttLoopsError(Exception):
    """The root: ``except NttLoopsError`` catches every error this library raises on purpose.

    Attributes:
        medium: The medium's id, where one is known.
        device: The device's path, such as ``/dev/loop7``, where one is known.
        image: The image's path, where one is known.
    """

    #: What ``.errno`` is when the raiser names none; the root itself is no OSError and has none.
    _errno: ClassVar[int] = 0

    medium: str | None
    device: str | None
    image: Path | None

    def __init__(
        self,
        message: str,
        *,
        medium: str | None = None,
        device: Text | None = None,
        image: Text | None = None,
        errno: int | None = None,
        **more: object,
    ) -> None:
        if isinstance(self, OSError):
            super().__init__(self._errno if errno is None else errno, message)
        else:
            super().__init__(message)
        self._message = message
        self._facts: dict[str, Any] = {
            "medium": medium,
            "device": None if device is None else os.fspath(device),
            "image": None if image is None else Path(image),
            **more,
        }
        self.__dict__.update(self._facts)
        if isinstance(self, OSError) and image is not None:
            _name_file(self, os.fspath(image))

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Callable[..., NttLoopsError], tuple[Any, ...], dict[str, Any]]:
        facts = dict(self._facts, errno=getattr(self, "errno", None))
        return _rebuild, (type(self), self._message, facts), dict(self.__dict__)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain data: its class, its message and its facts."""
        return {"error": type(self).__name__, "message": self._message, **plain_facts(self._facts)}


def _name_file(error: OSError, name: str) -> None:
    """Fill ``.filename``, where those who catch the builtin look."""
    error.filename = name


def _rebuild(cls: type[NttLoopsError], message: str, facts: dict[str, Any]) -> NttLoopsError:
    return cls(message, **facts)


def plain_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that are known, as plain data."""
    return {name: plain(value) for name, value in facts.items() if value is not None}


class MediumError(NttLoopsError, ValueError):
    """A medium's id cannot be used, or it is not clear what a name stands for."""


class ImageError(NttLoopsError, OSError, ValueError):
    """The image, or the part of it that was asked for, cannot be attached; nothing was."""

    _errno = errno.EINVAL


class ImageNotFoundError(ImageError, FileNotFoundError):
    """There is no image at that path."""

    _errno = errno.ENOENT


class ImagePermissionError(ImageError, PermissionError):
    """The image may not be opened as was asked."""

    _errno = errno.EACCES


class ImageWriteError(NttLoopsError, OSError):
    """What was written through the device may not be in the image: the kernel said so once (F18).

    Attributes:
        holders: Who else keeps a device of the medium busy (``tuple[Holder, ...]``).
        report: What ``release_all`` did (``ReleaseReport``), else None.
    """

    _errno = errno.EIO

    holders: tuple[Any, ...]
    report: Any

    def __init__(self, message: str, *, holders: tuple[Any, ...] = (), report: object = None, **facts: Any) -> None:
        super().__init__(message, holders=holders, report=report, **facts)


class AttachError(NttLoopsError, OSError):
    """The kernel did not attach the image, or not as it was asked to; nothing is left attached."""

    _errno = errno.EIO


class LoopUnavailableError(AttachError):
    """Loop devices cannot be had here: no module, no control node, or none free."""

    _errno = errno.ENODEV


class LoopPermissionError(LoopUnavailableError, PermissionError):
    """This process may not use loop devices."""

    _errno = errno.EPERM


class DeviceBusyError(NttLoopsError, OSError):
    """Somebody uses the device, so it was not detached.

    Attributes:
        holders: Who uses it, as far as can be seen (``tuple[Holder, ...]``).
        report: What ``release_all`` did with the other devices (``ReleaseReport``), else None.
    """

    _errno = errno.EBUSY

    holders: tuple[Any, ...]
    report: Any

    def __init__(self, message: str, *, holders: tuple[Any, ...] = (), report: object = None, **facts: Any) -> None:
        super().__init__(message, holders=holders, report=report, **facts)


class LedgerError(NttLoopsError, OSError):
    """A ledger file cannot be used or written.

    Attributes:
        path: The file or folder.
        report: What ``release_all`` did all the same (``ReleaseReport``), else None.
    """

    _errno = errno.EIO

    path: Path | None
    report: Any

    def __init__(self, message: str, *, path: Text | None = None, report: object = None, **facts: Any) -> None:
        super().__init__(message, path=None if path is None else Path(path), report=report, **facts)


class KernelError(NttLoopsError, OSError):
    """A system call failed that has nothing to do with the image: no descriptor or memory is left, /proc is not there.

    ``errno`` says which; what was done until then is on record, and the call can be made again.
    """

    _errno = errno.EIO


class RescueError(NttLoopsError, OSError):
    """An image was not copied back from its device; no file was left, and the device is as it was.

    ``errno`` says why: ENXIO nothing is attached there, EEXIST the file is there already, EBUSY somebody writes to the
    device, ESTALE it became another one, ENOSPC the disk is full, EIO what cannot be read.

    Attributes:
        file: Where the image was to be copied to.
    """

    _errno = errno.EIO

    file: Path | None

    def __init__(self, message: str, *, file: Text | None = None, **facts: Any) -> None:
        super().__init__(message, file=None if file is None else Path(file), **facts)


class MountError(NttLoopsError, OSError):
    """Something was not mounted or not unmounted: mount(8) or umount(8) failed, or the mount point cannot be one.

    Attributes:
        partition: The device or partition concerned, such as ``/dev/loop7p1``.
        text: What the program said.
        partitions: Where nothing of a medium could be mounted: what was found of it, and why each was not
            (``tuple[MountedPartition, ...]``).
    """

    _errno = errno.EIO

    partition: str | None
    text: str
    partitions: tuple[Any, ...]

    def __init__(
        self,
        message: str,
        *,
        partition: str | None = None,
        text: str = "",
        partitions: tuple[Any, ...] = (),
        **facts: Any,
    ) -> None:
        super().__init__(message, partition=partition, text=text, partitions=partitions, **facts)


class MountTimeoutError(MountError, TimeoutError):
    """mount(8) or umount(8) did not end by its deadline and was killed."""

    _errno = errno.ETIMEDOUT
