"""The half of the real kernel that is done by system programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntt_loops._kernel import commands, stacked

if TYPE_CHECKING:
    from ntt_loops._kernel.values import Probe


class Programs:
    """blkid(8), mount(8), umount(8), dmsetup(8), mdadm(8)."""

    def probe(self, node: str | os.PathLike[str], *, offset_bytes: int = 0, within: float) -> Probe:
        """Run blkid(8)."""
        return commands.blkid(os.fsencode(node), offset_bytes=offset_bytes, within=within)

    def mount_node(
        self, node: str | os.PathLike[str], mount_point: bytes, *, fstype: str, options: str, within: float
    ) -> None:
        """Run mount(8)."""
        commands.mount(os.fsencode(node), mount_point, fstype=fstype, options=options, within=within)

    def stop_stacked(self, name: str, *, within: float) -> None:
        """Run dmsetup(8) or mdadm(8)."""
        found = stacked.look(name)
        if found is not None:
            commands.stop_stacked(name, found.own_name, within=within)

    def unmount(self, mount_point: bytes, *, within: float) -> None:
        """Run umount(8)."""
        commands.umount(mount_point, within=within)
