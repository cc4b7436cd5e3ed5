"""Something that a test left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ntt_loops._world import World


@attrs.frozen
class Leak:
    """One thing, in a sentence.

    Attributes:
        key: What tells it from every other one.
        text: The sentence.
        may_go: Whether it may go by itself in a moment.
        image: The path of a device's image, where the device may be released; else None.
        mount_point: Where something is mounted that may be unmounted; else None.
        world: The world that has the device on record, if one has.
    """

    key: tuple[object, ...]
    text: str
    may_go: bool = False
    image: bytes | None = None
    mount_point: bytes | None = None
    world: World | None = None

    @property
    def may_be_undone(self) -> bool:
        """Whether the guard may unmount or release it."""
        return self.image is not None or self.mount_point is not None
