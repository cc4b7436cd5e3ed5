"""A medium on its way through the pipeline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from examples.demo.counting import Count
from examples.demo.output import tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from examples.demo.machine import Kind, Machine


@dataclass
class Medium:
    """One image, and what is known of it.

    Attributes:
        image: Its path; the name is the MD5 of the content.
        mount_point: Where the copy stage mounts it.
        files: The SHA-256 of what its file system holds, by relative name.
        sha256: That of the image when it was made.
        count: The devices that were made for it, and went.
        copied: The SHA-256 of what was copied out of it, by relative name.
        sha256_at_unlink: That of the image just before it was deleted.
        failures: What its stages failed with.
    """

    image: Path
    mount_point: Path
    files: Mapping[str, str]
    sha256: str
    count: Count = field(default_factory=Count)
    copied: Mapping[str, str] = field(default_factory=dict)
    sha256_at_unlink: str | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The medium's id."""
        return self.image.stem


def make_medium(machine: Machine, folder: Path, kind: Kind) -> Medium:
    """Make an image that is named by its content."""
    new = folder / "images" / "new"
    new.parent.mkdir(exist_ok=True)
    files = machine.make_image(new, kind)
    with new.open("rb") as content:
        name = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    image = new.rename(new.with_name(f"{name}.img"))
    tell("image", f"{image.relative_to(folder)}, {image.stat().st_size} bytes: {machine.describe(kind)}")
    return Medium(image, folder / "mnt" / name, files, sha256(image))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
