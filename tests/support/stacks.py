"""dm, LVM and md on top of devices, made by their own tools and taken away in the end."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Final

import attrs

from tests.support import oracle
from tests.support.needs import require_tool

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

SECTOR: Final = 512


@contextmanager
def linear(*devices: str | os.PathLike[str], sectors: int) -> Iterator[str]:
    """A dm device of so many sectors of each device, one after the other; its name."""
    name = f"ntt-{secrets.token_hex(4)}"
    lines = [f"{number * sectors} {sectors} linear {device} 0" for number, device in enumerate(devices)]
    oracle.run(require_tool("dmsetup"), "create", name, "--readonly", "--table", "\n".join(lines))
    try:
        yield name
    finally:
        with suppress(CalledProcessError):  # it was stopped
            oracle.run("dmsetup", "remove", "--retry", name)


@contextmanager
def volumes(device: str | os.PathLike[str], group: str) -> Iterator[None]:
    """The volumes of a group on one device, activated read-only."""
    only = f'devices {{ filter=["a|^{device}$|", "r|.*|"] use_devicesfile=0 }}'
    config = f'{only} activation {{ read_only_volume_list=["{group}"] }}'
    oracle.run(require_tool("vgchange"), "--config", config, "--nolocking", "-q", "-ay", group)
    try:
        yield
    finally:
        with suppress(CalledProcessError):  # they were stopped
            oracle.run("vgchange", "--config", config, "--nolocking", "-q", "-an", group)


@attrs.frozen
class Array:
    """An md array that is running."""

    name: str

    @property
    def node(self) -> Path:
        """Its node."""
        return Path("/dev", self.name)


def make_members(*images: Path) -> None:
    """Make images the members of a new RAID 1, which does not run afterwards."""
    devices = [oracle.losetup_attach(image, "--nooverlap") for image in images]
    node = f"/dev/md/{secrets.token_hex(4)}"
    options = ("--level=1", f"--raid-devices={len(devices)}", "--metadata=1.2", "--force", "--run", "--assume-clean")
    try:
        oracle.run(require_tool("mdadm"), "--create", node, *options, *devices)
        for name in {name for device in devices for name in arrays_on(device)}:
            _stop(name)
    finally:
        for device in devices:
            oracle.losetup_detach(device)
    oracle.wait_until(lambda: not any(map(oracle.is_bound, devices)), "the members are detached")


@contextmanager
def array(*devices: str | os.PathLike[str]) -> Iterator[Array]:
    """The array of these members, read-only, whether udev's rules have assembled it already or not."""
    for name in {name for device in devices for name in arrays_on(device)}:
        _stop(name)
    node = f"/dev/md/{secrets.token_hex(4)}"
    oracle.run("mdadm", "--assemble", "--readonly", "--run", node, *devices)
    made = Array(Path(node).resolve().name)
    try:
        yield made
    finally:
        if Path("/sys/block", made.name).exists():
            with suppress(CalledProcessError):  # it was stopped
                _stop(made.name)


def arrays_on(device: str | os.PathLike[str]) -> list[str]:
    """Return the md devices that stand on a device."""
    holders = Path("/sys/block", Path(device).name, "holders")
    return [one.name for one in holders.iterdir() if one.name.startswith("md")] if holders.exists() else []


def _stop(name: str) -> None:
    oracle.run("mdadm", "--stop", f"/dev/{name}")
