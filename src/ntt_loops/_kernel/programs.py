"""The half of the real kernel that is done by system programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from ntt_loops._kernel import commands, stacked

if TYPE_CHECKING:
    import io

    from ntt_loops._kernel.protocol import Handle
    from ntt_loops._kernel.values import Probe, TableEntry


class Programs:
    """blkid(8), mount(8), umount(8), dmsetup(8), mdadm(8), partx(8)."""

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

    def partition_table(self, handle: Handle, *, within: float) -> list[TableEntry]:
        """Run partx(8)."""
        return commands.partition_table(cast("io.FileIO", handle), within=within)

    def add_partitions(self, handle: Handle, first: int, last: int, *, within: float) -> None:
        """Run ``partx --add``."""
        commands.add_partitions(cast("io.FileIO", handle), first, last, within=within)
