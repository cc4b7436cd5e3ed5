"""Ids of media that no other process on this machine uses: a release by id finds the tags of every ledger folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.support import oracle
from tests.support.rig import filled

if TYPE_CHECKING:
    from pathlib import Path


def new_hash() -> str:
    """Return a hash, as the images of NTT are named: 32 hex digits."""
    return secrets.token_hex(16)


def new_id() -> str:
    """Return an id that is no hash."""
    return f"disk-{secrets.token_hex(6)}"


def new_image(folder: Path, *, size_bytes: int = 64 * 1024) -> Path:
    """Make an image whose name is an id of its own and no hash; it is not sparse and holds no file system."""
    return filled(folder / f"{new_id()}.img", size_bytes=size_bytes)


def autoclear(device: object) -> str:
    """Return "1" when the kernel will detach a device at its last close, "0" when not, "" when it is not bound."""
    attribute = oracle.BLOCK / str(device).removeprefix("/dev/") / "loop" / "autoclear"
    try:
        return attribute.read_text().strip()
    except (FileNotFoundError, OSError):
        return ""


def is_bound(device: object) -> bool:
    """Whether sysfs shows a device as bound."""
    return oracle.is_bound(str(device))
