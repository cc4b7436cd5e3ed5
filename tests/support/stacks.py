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
    from collections.abc import Iterator, Sequence

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
    finally:
        oracle.wait_until(lambda: all(map(_is_let_go, devices)), "the members are detached")


@contextmanager
def array(*devices: str | os.PathLike[str]) -> Iterator[Array]:
    """The array of these members, whether udev's rules assemble it or it has to be done here."""
    oracle.wait_until(lambda: _is_assembled(devices), "an array of these members")
    try:
        yield Array(arrays_on(devices[0])[0])
    finally:
        oracle.wait_until(lambda: not any(map(_stop_arrays, devices)), "the array is stopped")


def _is_assembled(devices: Sequence[str | os.PathLike[str]]) -> bool:
    """Whether one array stands on all of them and runs; try to assemble it where not."""
    found = {tuple(arrays_on(device)) for device in devices}
    if len(found) == 1 and all(len(names) == 1 and _state(names[0]) not in ("clear", "inactive") for names in found):
        return True
    for device in devices:
        _stop_arrays(device)
    _succeeds("mdadm", "--assemble", "--readonly", "--run", f"/dev/md/{secrets.token_hex(4)}", *devices)
    return False


def _state(name: str) -> str:
    attribute = Path("/sys/block", name, "md/array_state")
    return attribute.read_text().strip() if attribute.exists() else "clear"


def _is_let_go(device: str) -> bool:
    """Stop what stands on a device and detach it: udev's rules may have assembled an array again."""
    _stop_arrays(device)
    return not oracle.is_bound(device) or (_succeeds("losetup", "-d", device) and not oracle.is_bound(device))


def _stop_arrays(device: str | os.PathLike[str]) -> list[str]:
    found = arrays_on(device)
    for name in found:
        _succeeds("mdadm", "--stop", f"/dev/{name}")
    return found


def arrays_on(device: str | os.PathLike[str]) -> list[str]:
    """Return the md devices that stand on a device."""
    holders = Path("/sys/block", Path(device).name, "holders")
    return [one.name for one in holders.iterdir() if one.name.startswith("md")] if holders.exists() else []


def _succeeds(*command: str | os.PathLike[str]) -> bool:
    with suppress(CalledProcessError):
        oracle.run(*command)
        return True
    return False
