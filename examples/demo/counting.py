"""How many devices were made for a medium, by whom, and how each of them went."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntt_loops import list_media

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ntt_loops import LoopAttachment, LoopDevice, ReleasedDevice, ReleaseReport

#: By a stage's ``with`` block, by ``attach_kept``, by losetup(8).
MAKERS = ("with", "kept", "losetup")
#: By the kernel, as a ``with`` block's device goes; by the library, and how it knew that the device was to go.
WAYS = ("kernel", "ledger", "tag", "inode", "path", "name", "deleted")


@dataclass
class Count:
    """The devices of one medium."""

    made: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    freed_bytes: int = 0

    @contextlib.contextmanager
    def attached(self, attachment: LoopAttachment) -> Iterator[LoopDevice]:
        """Enter and leave an attachment, and count its device as made, and as gone if it is."""
        with contextlib.ExitStack() as after, attachment as device:
            self.made["with"] += 1
            after.callback(self._left, device)
            yield device

    def _left(self, device: LoopDevice) -> None:
        attached = {one.device for state in list_media(device.medium) for one in state.attachments}
        self.gone["kernel"] += str(device) not in attached

    def released(self, report: ReleaseReport) -> None:
        """Count what ``release_all`` did. What was on record and is gone already went by the kernel's doing."""
        self.detached(report.released)
        self.gone["kernel"] += len(report.already_gone)

    def detached(self, devices: Iterable[ReleasedDevice]) -> None:
        """Count devices that a report names."""
        for one in devices:
            self.gone[one.found_by] += 1
            self.freed_bytes += one.freed_bytes
