"""What is to be mounted: a loop device, or one of its partitions."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import attrs

from ntt_loops.errors import MountError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._kernel import Kernel, Probe


@attrs.frozen
class Source:
    """A device by its number, and a partition's number, or None for the whole disk."""

    kernel: Kernel
    number: int
    partition: int | None = None

    @property
    def node(self) -> str:
        """What it is called."""
        return self.kernel.node(self.number, self.partition)

    @property
    def usable_node(self) -> str:
        """The path that programs are given; OSError where /dev has none and none can be made (F33)."""
        return self.kernel.usable_node(self.number, self.partition)

    @property
    def rdev(self) -> int | None:
        """Its device number; None where it is not there."""
        if self.partition is None:
            return self.kernel.rdev(self.number)
        return next((one.rdev for one in self.kernel.partitions(self.number) if one.number == self.partition), None)

    def probe(self, within: float, *, offset_bytes: int = 0) -> Probe:
        """Ask blkid(8) what it holds.

        Raises:
            MountError: It cannot be asked, or did not answer in time.
        """
        try:
            return self.kernel.probe(self.usable_node, offset_bytes=offset_bytes, within=within)
        except OSError as error:
            raise self.error(f"what {self.node} holds cannot be told", error) from error

    @contextlib.contextmanager
    def held(self, diskseq: int | None = None) -> Iterator[None]:
        """Keep the number from becoming another attachment while the block runs (F15).

        Raises:
            MountError: Nothing is attached, or another attachment than the one of that diskseq.
        """
        try:
            handle = self.kernel.open(self.number)
        except OSError as error:
            raise self.error(f"{self.node} cannot be opened", error) from error
        try:
            is_same = diskseq is None or self.kernel.get_diskseq(handle) == diskseq
            if not (is_same and self.kernel.is_bound(self.number)) or self.rdev is None:
                message = f"{self.node} is not attached any more, or never was: nothing was mounted"
                raise MountError(message, device=self.node, partition=self.node, errno=errno.ENXIO)
            yield
        finally:
            handle.close()

    def error(self, what: str, error: OSError) -> MountError:
        """Return an error with a program's own text."""
        text = error.strerror or str(error)
        return MountError(f"{what}: {text}", device=self.node, partition=self.node, text=text)
