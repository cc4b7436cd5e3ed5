"""Ids of media that no other process on this machine uses: a release by id finds the tags of every ledger folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Self

import attrs

from tests.support import oracle, rawloop
from tests.support.rig import filled

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops import LoopAttachment, LoopDevice, Loops


def new_hash() -> str:
    """Return a hash, as the images of NTT are named: 32 hex digits."""
    return secrets.token_hex(16)


def new_id() -> str:
    """Return an id that is no hash."""
    return f"disk-{secrets.token_hex(6)}"


def new_image(folder: Path, *, size_bytes: int = 64 * 1024) -> Path:
    """Make an image whose name is an id of its own and no hash; it is not sparse and holds no file system."""
    return filled(folder / f"{new_id()}.img", size_bytes=size_bytes)


class Attached(str):
    """A device that losetup made, as its path; its diskseq tells it from what comes after it on its number."""

    __slots__ = ("diskseq",)

    diskseq: int | None

    def __new__(cls, device: str) -> Self:
        """Take a device that is bound now."""
        self = super().__new__(cls, device)
        self.diskseq = oracle.diskseq(oracle.device_number(device))
        return self


def by_losetup(image: Path, *options: str) -> Attached:
    """Attach with ``losetup -f --show`` and these options (``-r -P`` if none)."""
    return Attached(oracle.losetup_attach(image, *options))


def by_attach_kept(loops: Loops, image: Path, **options: Any) -> Attached:
    """Attach as the library does, until it is released."""
    return Attached(str(loops.attach_kept(image, **options)))


def is_bound(device: Attached | LoopDevice) -> bool:
    """Whether that very attachment is there: on its number there may be somebody else's by now."""
    number = oracle.device_number(str(device))
    return rawloop.is_bound(number) and oracle.diskseq(number) == device.diskseq


def partitions_left(device: Attached | LoopDevice) -> list[str]:
    """Return the partitions on a device's number, none where that is somebody else's by now: those are theirs."""
    number = oracle.device_number(str(device))
    while True:
        diskseq = oracle.diskseq(number)
        found = oracle.partition_nodes(str(device))
        is_theirs = rawloop.is_bound(number) and diskseq != device.diskseq
        if oracle.diskseq(number) == diskseq:
            return [] if is_theirs else found


def leave_soon(attachment: LoopAttachment) -> None:
    """Let the exit wait for a moment only, where its device is in use; the attach had all the time it needs."""
    attachment._options = attrs.evolve(attachment._options, timeout=0.1)


def autoclear(device: Attached | LoopDevice) -> str:
    """Return "1" when the kernel will detach it at its last close, "0" when not, "" where it is not there."""
    flag = rawloop.sysfs(oracle.device_number(str(device)), "loop/autoclear") or b""
    return flag.decode() if is_bound(device) else ""
