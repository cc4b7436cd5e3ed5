"""The system's programs: what each is for, and what goes without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntt_loops._checkup.values import judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._checkup.values import Check
    from ntt_loops._kernel.machine import Machine, Tool


class Purpose(NamedTuple):
    """What a program is for."""

    what: str
    package: str
    is_needed: bool = False
    #: The driver without which it has nothing to do.
    driver: str = ""


PURPOSES = {
    "mount": Purpose("mounts what is on a device", "mount", is_needed=True),
    "umount": Purpose("unmounts it, for unmount=True too", "mount", is_needed=True),
    "blkid": Purpose("tells the file system, so that no journal is replayed", "util-linux", is_needed=True),
    "partx": Purpose("reads partition tables that the kernel does not", "util-linux", is_needed=True),
    "addpart": Purpose("adds the partitions of a cut-off image", "util-linux"),
    "sfdisk": Purpose("reads the table of a cut-off image", "fdisk"),
    "nsenter": Purpose("unmounts in another namespace, as why says it", "util-linux"),
    "dmsetup": Purpose("stops LVM and other mappings for unmount=True", "dmsetup", driver="device-mapper"),
    "mdadm": Purpose("stops RAID arrays for unmount=True", "mdadm", driver="md"),
}


def tool_checks(machine: Machine) -> Iterator[Check]:
    """Yield a check for each program."""
    for tool in machine.tools:
        yield _tool(tool, PURPOSES[tool.name], machine.drivers)


def _tool(tool: Tool, purpose: Purpose, drivers: frozenset[str]) -> Check:
    if tool.path is not None:
        return judged(tool.name, f"{tool.version or tool.path}; {purpose.what}")
    if purpose.driver and purpose.driver not in drivers:
        return judged(tool.name, f"not installed, and without the driver {purpose.driver} not needed; {purpose.what}")
    advice = f"install the package {purpose.package}"
    found = f"not installed; {purpose.what}"
    return judged(tool.name, found, failed=advice) if purpose.is_needed else judged(tool.name, found, warning=advice)
