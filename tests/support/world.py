"""A kernel and the rest of the world around it, real or in memory, for the contract suite.

Every test works on numbers, images and mount points that its world made. Others on the same machine take loop numbers
and look at devices at any time, so a world tries again where they can be faster.
"""

from __future__ import annotations

import abc
import dataclasses
import errno
import os
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, TypeAlias

from ntt_loops._kernel import LoopConfig
from ntt_loops._kernel.descriptors import open_descriptor
from tests.support.images import make_image
from tests.support.oracle import wait_until

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from ntt_loops._kernel import Handle, Kernel

Where: TypeAlias = int | tuple[int, int]
Content: TypeAlias = Literal["pattern", "ext4", "swap"]
Ability: TypeAlias = Literal["swap", "device mapper", "mount namespaces"]

#: Start and length in sectors, and the type of a partition in an MBR.
Place: TypeAlias = tuple[int, int, int]

IMAGE_BYTES = 2 * 1024 * 1024
PLAIN = LoopConfig(b"contract")


@dataclasses.dataclass(frozen=True)
class Attached:
    """One attachment, and the handle that it was made with."""

    number: int
    handle: Handle
    diskseq: int | None
    image: Path


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """Another process that has a device open, or mounted where only it lives."""

    pid: int
    close: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Mounted:
    """A mount, and the process whose namespace it is in."""

    point: bytes
    pid: int


class World(abc.ABC):
    """What the tests of the contract do; all of it is undone by ``end``."""

    #: Whether CLR_FD as only opener detaches at the last close (6.11 and later), not at once.
    rundown: bool
    has_diskseq: bool
    #: Whether partitions that an image without PARTSCAN left are there until they are deleted (F60).
    keeps_leftovers: bool
    #: Whether BLKPG adds what ends past the end of the device (F55).
    takes_past_the_end: bool

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        self.kernel = kernel
        self.folder = folder
        self.undo = ExitStack()
        #: Ids of media are made of them, and those of another run of these tests are other media.
        self._names = (f"{secrets.token_hex(4)}-{number}" for number in range(1_000_000))

    def end(self) -> None:
        """Leave nothing behind."""
        self.undo.close()

    # -- images and devices

    def new_path(self, kind: str) -> Path:
        """Return a path that nothing is at."""
        return self.folder / f"{kind}-{next(self._names)}"

    def image(self, size_bytes: int = IMAGE_BYTES, content: Content = "pattern") -> Path:
        """Make an image; what is in it matters only where a real kernel reads it."""
        return make_image(self.new_path(content), size_bytes=size_bytes, fs=None)

    def file(self, path: Path, *, writable: bool = False) -> io.FileIO:
        """Open an image for ``configure``."""
        file = open_descriptor(path, os.O_RDWR if writable else os.O_RDONLY)
        self.undo.callback(file.close)
        return file

    def open(self, number: int, *, writable: bool = False, exclusive: bool = False) -> Handle:
        """Open a device until the test ends."""
        handle = self.kernel.open(number, writable=writable, exclusive=exclusive)
        self.undo.callback(handle.close)
        return handle

    @abc.abstractmethod
    def new_number(self) -> int:
        """Return the number of a device that is not bound, and that nobody else is likely to take."""

    def next_free(self, after: int) -> int:
        """Ask for the next free number, which may have been made for that."""
        return self.kernel.next_free(after)

    def attach(
        self, image: Path | None = None, config: LoopConfig = PLAIN, *, writable: bool = False, exclusive: bool = False
    ) -> Attached:
        """Attach an image."""
        image = self.image() if image is None else image
        file = self.file(image, writable=writable)
        made: list[Attached] = []

        def attached() -> bool:
            number = self.new_number()
            handle = self.open(number, writable=writable, exclusive=exclusive)
            if not self._configured(handle, file, config):
                return False
            made.append(Attached(number, handle, self.kernel.get_diskseq(handle), image))
            return True

        wait_until(attached, "a device of our own")
        file.close()
        return made[0]

    def _configured(self, handle: Handle, file: io.FileIO, config: LoopConfig) -> bool:
        try:
            self.kernel.configure(handle, file, config)
        except OSError as error:
            handle.close()
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def is_attached(self, one: Attached) -> bool:
        """Whether it is still there: the number may have been taken by somebody else since."""
        found = self.kernel.look(one.number)
        if found is None:
            return False
        return (
            found.diskseq == one.diskseq
            if self.has_diskseq
            else found.backing_file.startswith(os.fsencode(self.folder))
        )

    def clear_alone(self, handle: Handle) -> None:
        """CLR_FD until it takes: a stranger who looks at that instant makes it a deferred one (F36)."""

        def taken() -> bool:
            self.kernel.clear(handle)
            return self.has_no_status(handle)

        wait_until(taken, "CLR_FD as only opener")

    def has_no_status(self, handle: Handle) -> bool:
        """Whether GET_STATUS64 says ENXIO."""
        try:
            self.kernel.get_status(handle)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return True
        return False

    def is_claimed(self, number: int) -> bool:
        """Whether a claim of the whole device is refused."""
        try:
            self.kernel.open(number, exclusive=True).close()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return True
        return False

    def wait_until_unclaimed(self, number: int) -> None:
        """Wait until nobody has a claim: a stranger's new mount namespace may have a copy of our mount."""
        wait_until(lambda: not self.is_claimed(number), f"nobody claims loop{number}")

    def wait_until_gone(self, one: Attached) -> None:
        """Wait for the detach, which a stranger who looks delays."""
        wait_until(lambda: not self.is_attached(one), f"loop{one.number} is free of {one.image}")

    def detach(self, one: Attached) -> None:
        """End an attachment."""
        self.clear_alone(one.handle)
        one.handle.close()
        self.wait_until_gone(one)

    @abc.abstractmethod
    def table_image(self, *places: Place) -> Path:
        """Make an image with an MBR of these partitions, the first one number 1."""

    # -- what others do

    @abc.abstractmethod
    def attach_foreign(self, image: Path) -> int:
        """Attach an image as ``losetup -r -P`` does."""

    @abc.abstractmethod
    def add_partition(self, number: int, partition: int, start_bytes: int, size_bytes: int) -> None:
        """Add a partition."""

    @abc.abstractmethod
    def open_elsewhere(self, where: Where, *, exclusive: bool = False) -> Elsewhere:
        """Let another process open a device or a partition."""

    @abc.abstractmethod
    def mount(self, where: Where, *, point: bytes | None = None, ours: bool = True, busy: bool = False) -> Mounted:
        """Mount an ext4 read-only, at a point of its own or a given one."""

    @abc.abstractmethod
    def swap_on(self, number: int) -> None:
        """Swap on a device."""

    @abc.abstractmethod
    def swap_off(self, number: int) -> None:
        """End that."""

    @abc.abstractmethod
    def stack_dm(self, number: int, name: str) -> None:
        """Put a device-mapper device on a device."""

    @abc.abstractmethod
    def unstack(self, name: str) -> None:
        """Take it away."""

    @abc.abstractmethod
    def stack_loop(self, number: int) -> int:
        """Attach a device to another one, and return that one's number."""
