"""What must hold after whatever happened, asked of losetup(8) and sysfs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntt_loops import NttLoopsError
from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.proof.scenarios import Scenario


def after(scenario: Scenario) -> list[str]:
    """Return what is wrong, in words; at the end nothing of the scenario is left either way."""
    found = [*_wrong_of_copies(scenario), *_wrong(scenario)]
    for device in oracle.bound_devices(scenario.image):
        oracle.losetup_detach(device)
    return found


def _wrong(scenario: Scenario) -> Iterator[str]:
    """One release finds all that is left, a second nothing, and the image can be attached again."""
    loops, image = scenario.loops, scenario.image
    try:
        if scenario.root is not None:
            yield from _wrong_of_mounts(scenario, scenario.root)
        # By its id, which is no hash, a device is found by the ledger and its tag alone; strangers' go by the path.
        loops.release_all(image if scenario.has_strangers else image.stem)
        if left := oracle.bound_devices(image):
            yield f"release_all left {left}"
        if loops.release_all(image).released:
            yield "a second release_all found more"
        with loops.attached(image) as device:
            if str(device) not in oracle.bound_devices(image):
                yield "attached again, it is not"
    except NttLoopsError as error:
        yield f"{type(error).__name__} afterwards: {error}"
    if left := oracle.bound_devices(image):
        yield f"after the next run {left} is left"
    if records := sorted(path.name for path in scenario.run_dir.iterdir()):
        yield f"on record is left: {records}"


def _wrong_of_copies(scenario: Scenario) -> Iterator[str]:
    """A copy is whole, or there is none."""
    if scenario.rescued is None:
        return
    if scenario.rescued.exists() and scenario.rescued.read_bytes() != scenario.image.read_bytes():
        yield "a copy is not what it was made of"
    scenario.rescued.unlink(missing_ok=True)
    if left := [path.name for path in scenario.image.parent.glob(".ntt-loops-*")]:
        yield f"a copy under another name: {left}"


def _wrong_of_mounts(scenario: Scenario, root: Path) -> Iterator[str]:
    """One unmount takes all mounts and folders away, and the medium can be mounted again."""
    loops, image = scenario.loops, scenario.image
    for attempt in ("left", "left of another run"):
        loops.unmount_medium(image.stem, root=root)
        if mounts := [point for _, point in oracle.mounts() if point.is_relative_to(root)]:
            yield f"{attempt}: mounts {mounts}"
        if (root / image.stem).exists():
            yield f"{attempt}: the folder of the medium"
        if attempt == "left" and not loops.mount_medium(image, root=root).is_new:
            yield "mounted again, it was mounted"
