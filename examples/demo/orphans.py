"""An image that somebody deletes although devices hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.demo.medium import Medium, make_medium, sha256
from examples.demo.output import headline, tell
from examples.demo.workplace import sweep_all
from ntt_loops import sweep

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.machine import Machine


def delete_one_and_sweep(machine: Machine, folder: Path) -> Medium:
    """Make orphans, and sweep the folder that their image lay in."""
    headline("One more: the image is deleted by rm while devices hold it, so its space does not come back")
    medium = make_medium(machine, folder, "plain")
    devices = [machine.losetup(medium.image) for _ in range(2)]
    medium.count.made["losetup"] += len(devices)
    medium.sha256_at_unlink = sha256(medium.image)
    medium.image.unlink()
    tell("others", f"losetup -f --show -r -P makes {', '.join(devices)}; then the image is deleted")
    would = sweep(under=folder, dry_run=True)
    tell("dry run", f"would detach {len(would.released)} devices and free {would.freed_bytes} bytes")
    reports = sweep_all(folder)
    released = [one for report in reports for one in report.released]
    freed_bytes = sum(report.freed_bytes for report in reports)
    medium.count.detached(released)
    tell("sweep", f"detached {', '.join(one.device for one in released)}, {freed_bytes} bytes came back")
    return medium
