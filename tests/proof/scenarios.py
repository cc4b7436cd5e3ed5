"""What a process does while it is killed or hindered: each a piece of work on an image of its own."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

# Loaded before anything fails: how Python finds its modules is not what is tried here.
import ntt_loops._mounted_medium
import ntt_loops._rescue  # noqa: F401
from ntt_loops import Loops
from tests.support.images import make_image
from tests.support.media import by_losetup, new_id, new_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Scenario(NamedTuple):
    """A piece of work, and what it is done to."""

    loops: Loops
    run_dir: Path
    image: Path
    work: Callable[[], object]
    #: Whether devices that losetup(8) made are there, too.
    has_strangers: bool = False
    #: Where the medium is mounted, if that is what the work does.
    root: Path | None = None
    #: Where the image is copied back to, if that is what the work does.
    rescued: Path | None = None


def scoped(folder: Path) -> Scenario:
    """A ``with`` block."""
    loops, image = _new(folder)

    def work() -> None:
        with loops.attached(image):
            pass

    return Scenario(loops, folder / "run", image, work)


def writable(folder: Path) -> Scenario:
    """A ``with`` block that writes."""
    loops, image = _new(folder)

    def work() -> None:
        with (
            loops.attached(image, writable=True) as device,
            contextlib.suppress(OSError),
            device.path.open("wb") as node,
        ):
            node.write(bytes(4096))

    return Scenario(loops, folder / "run", image, work)


def kept(folder: Path) -> Scenario:
    """A kept attach."""
    loops, image = _new(folder)
    return Scenario(loops, folder / "run", image, lambda: loops.attach_kept(image))


def released(folder: Path) -> Scenario:
    """A release of one device."""
    loops, image = _new(folder)
    device = loops.attach_kept(image)
    return Scenario(loops, folder / "run", image, lambda: loops.release(device))


def released_writable(folder: Path) -> Scenario:
    """A release of a device that was written to."""
    loops, image = _new(folder)
    device = loops.attach_kept(image, writable=True)
    with device.path.open("r+b") as node:
        node.write(bytes(4096))
        node.flush()
        os.fsync(node.fileno())
    return Scenario(loops, folder / "run", image, lambda: loops.release(device))


def all_released(folder: Path) -> Scenario:
    """A release of a kept device, a writable one and a stranger's."""
    loops, image = _mixed(folder)
    return Scenario(loops, folder / "run", image, lambda: loops.release_all(image.stem), has_strangers=True)


def swept(folder: Path) -> Scenario:
    """A sweep that finds a kept device too old."""
    loops, image = _new(folder)
    loops.attach_kept(image)
    return Scenario(loops, folder / "run", image, lambda: loops.sweep(kept_older_than=0))


def mounted(folder: Path) -> Scenario:
    """A medium that is mounted, and unmounted again."""
    loops, root = Loops(folder / "run"), folder / "mnt"
    image = make_image(folder / f"{new_id()}.img", size_bytes=2**20)

    def work() -> None:
        loops.mount_medium(image, root=root)
        loops.unmount_medium(image.stem, root=root)

    return Scenario(loops, folder / "run", image, work, root=root)


def rescued(folder: Path) -> Scenario:
    """An image that is copied back from its device; another name, where nobody looks, has it still."""
    loops, image = _new(folder)
    device = loops.attach_kept(image, medium=f"{image.stem}-spare")
    spare = image.with_name(f"{image.stem}-spare.img")
    spare.hardlink_to(image)
    image.unlink()
    return Scenario(loops, folder / "run", spare, lambda: loops.rescue(device, image), rescued=image)


def _mixed(folder: Path) -> tuple[Loops, Path]:
    loops, image = _new(folder)
    loops.attach_kept(image, size_limit_bytes=image.stat().st_size // 2)
    loops.attach_kept(image, offset_bytes=image.stat().st_size // 2, writable=True)
    by_losetup(image)
    return loops, image


def _new(folder: Path) -> tuple[Loops, Path]:
    return Loops(folder / "run"), new_image(folder)


SCENARIOS = (scoped, writable, kept, released, released_writable, all_released, swept, mounted, rescued)
