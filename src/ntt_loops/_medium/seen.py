"""A bound device of the host, with what the kernel said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Identity
from ntt_loops._kernel.values import DELETED_SUFFIX
from ntt_loops._ledger import Tag

if TYPE_CHECKING:
    from ntt_loops._kernel import BoundDevice, LoopStatus
    from ntt_loops._medium.deletion import Judged


@attrs.frozen
class Seen:
    """A bound device, as it was seen.

    Attributes:
        bound: What sysfs says.
        status: What GET_STATUS64 says; None where it was not asked, did not answer, or a detach was under way.
        hangs: Whether its storage may not answer.
        stuck: Whether it did not.
        is_asked: Whether it was asked; what may hang is only by ``probe``.
        is_dead: Whether it answered with an error of its own, as a FUSE server that ended does.
        has_node: Whether there is something in /dev to open it by (F33).
        judged: Of storage that may hang: whether its image is deleted, as it was at the last probe.
    """

    bound: BoundDevice
    status: LoopStatus | None
    hangs: bool = False
    stuck: bool = False
    is_asked: bool = True
    is_dead: bool = False
    has_node: bool = True
    judged: Judged | None = None

    @property
    def key(self) -> tuple[int, int | None, bytes]:
        """What tells one look's device from another's; where there is no diskseq, its path must do."""
        return self.number, self.bound.diskseq, b"" if self.bound.diskseq is not None else self.path

    @property
    def number(self) -> int:
        """The device's number."""
        return self.bound.number

    @property
    def identity(self) -> Identity:
        """What tells this attachment from others."""
        return Identity.of_bound(self.bound, self.status)

    @property
    def tag(self) -> Tag | None:
        """Our tag, where it has one."""
        return None if self.status is None else Tag.read(self.status.name)

    @property
    def inode(self) -> tuple[int, int] | None:
        """The (dev, inode) of its image."""
        return None if self.status is None else (self.status.backing_dev, self.status.backing_inode)

    @property
    def path(self) -> bytes:
        """Its image's path as bytes, without the kernel's note that it is deleted."""
        return self.bound.backing_file.removesuffix(DELETED_SUFFIX)
