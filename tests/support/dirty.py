"""Images as a crash leaves them: copied while mounted, with something in the journal that is not in place yet."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support import oracle
from tests.support.needs import require_tool
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
#: How each is made: the tool, its options, the smallest size that it takes.
MAKERS = {
    "ext2": (("mkfs.ext2", "-q", "-F"), 4 * MIB),
    "ext3": (("mkfs.ext3", "-q", "-F"), 16 * MIB),
    "ext4": (("mkfs.ext4", "-q", "-F"), 16 * MIB),
    "ext4-nojournal": (("mkfs.ext4", "-q", "-F", "-O", "^has_journal"), 8 * MIB),
    "xfs": (("mkfs.xfs", "-q", "-f"), 320 * MIB),
    "btrfs": (("mkfs.btrfs", "-q", "-f"), 120 * MIB),
}


def make_clean(path: Path, kind: str) -> Path:
    """An empty file system that was never mounted."""
    (tool, *options), size_bytes = MAKERS[kind]
    with path.open("wb") as image:
        image.truncate(size_bytes)
    oracle.run(require_tool(tool), *options, path)
    return path


def make_dirty(path: Path, kind: str) -> Path:
    """The same with files in it, as it is on the disk while it is mounted."""
    living = make_clean(path.with_name(f"{path.name}.living"), kind)
    with attached_writable(living) as device, mounted(device, path.with_name(f"{path.name}.mnt"), "-o", "rw") as point:
        for number in range(20):
            file = point / f"file{number}"
            with file.open("wb") as one:
                one.write(b"%d" % number * 5000)
                one.flush()
                os.fsync(one.fileno())
        (point / "file3").unlink()
        if kind != "btrfs":  # its log is what was synced since the last commit: a sync of all would empty it
            oracle.run("sync", "-f", point)
        shutil.copyfile(living, path)
    living.unlink()
    return path


@contextmanager
def attached_writable(image: Path) -> Iterator[str]:
    """A writable device that losetup made."""
    device = oracle.losetup_attach(image, "-P")
    try:
        yield device
    finally:
        oracle.losetup_detach(device)
        oracle.wait_until(lambda: not oracle.bound_devices(image), f"{device} is detached")
