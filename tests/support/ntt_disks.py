"""Images of partitioned disks: a table by sfdisk, and in its partitions what belongs there."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Final

from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.oracle import losetup_attach, losetup_detach, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MIB: Final = 2**20
#: mkfs.xfs makes none below that.
XFS_BYTES: Final = 300 * MIB

#: Two partitions of 8 MiB.
TWO: Final = "label: dos\nsize=8MiB, type=83\nsize=8MiB, type=83\n"


def make_disk(path: Path, script: str, contents: Mapping[int, Path], *, size_bytes: int = 24 * MIB) -> Path:
    """Make a sparse disk with the partitions of an sfdisk script; files go into them by number, and are deleted."""
    with path.open("wb") as disk:
        disk.truncate(size_bytes)
    subprocess.run([require_tool("sfdisk"), "-q", path], input=script, text=True, check=True, capture_output=True)
    starts = starts_bytes(path)
    for number, content in contents.items():
        where = f"seek={starts[number]}"
        run(
            "dd",
            f"if={content}",
            f"of={path}",
            "bs=1M",
            "oflag=seek_bytes",
            where,
            "conv=notrunc,sparse",
            "status=none",
        )
        content.unlink()
    return path


def starts_bytes(disk: Path) -> dict[int, int]:
    """Return where each partition begins, by its number."""
    table = json.loads(run(require_tool("sfdisk"), "--json", disk))["partitiontable"]
    sector = table.get("sectorsize", 512)
    return {int(one["node"].removeprefix(f"{disk}")): one["start"] * sector for one in table["partitions"]}


def ext4(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make an ext4 of 8 MiB that holds these files."""
    return make_image(path, files=files)


def xfs(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make an xfs that holds these files, none of them in a folder."""
    lines = ["/", "0 0", "d--755 0 0"]
    for name, content in files.items():
        source = path.with_name(f"{path.name}-{name}")
        source.write_bytes(content)
        lines.append(f"{name} ---644 0 0 {source}")
    prototype = path.with_name(f"{path.name}.prototype")
    prototype.write_text("\n".join([*lines, "$", ""]))
    path.touch()
    os.truncate(path, XFS_BYTES)
    run(require_tool("mkfs.xfs"), "-q", "-p", prototype, path)
    for left in path.parent.glob(f"{path.name}?*"):
        left.unlink()
    return path


def lvm(path: Path, group: str, volumes: Sequence[str], *, size_bytes: int = 16 * MIB) -> Path:
    """Make a physical volume of LVM with a volume group; no volume is activated, and LVM looks at no other device."""
    tools = {name: require_tool(name) for name in ("pvcreate", "vgcreate", "lvcreate")}
    with path.open("wb") as file:
        file.truncate(size_bytes)
    device = losetup_attach(path, "--nooverlap")
    only = f'devices {{ filter=["a|^{device}$|", "r|.*|"] use_devicesfile=0 }} backup {{ backup=0 archive=0 }}'
    options = ("--config", only, "--nolocking", "--driverloaded", "n", "-q", "-y")
    try:
        run(tools["pvcreate"], *options, device)
        run(tools["vgcreate"], *options, "--physicalextentsize", "1m", group, device)
        for name in volumes:
            run(tools["lvcreate"], *options, "-an", "-Zn", "-Wn", "-l1", "-n", name, group)
    finally:
        losetup_detach(device)
    return path
