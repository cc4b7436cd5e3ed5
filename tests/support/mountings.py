"""Judging what mounting and unmounting a medium left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import oracle

if TYPE_CHECKING:
    from ntt_loops import Loops


def is_clean(loops: Loops, root: Path, image: Path) -> bool:
    """Whether nothing is attached, mounted, on record or left of it; the root may be there."""
    run_dir = Path(loops._world().ledger.run_dir)
    left: list[object] = [*oracle.bound_to_path(image), *mount_points_below(root)]
    left += [*(run_dir.iterdir() if run_dir.exists() else ()), *(root.iterdir() if root.exists() else ())]
    return not left


def mount_points_below(folder: Path) -> list[Path]:
    """Return what is mounted below a folder."""
    return [point for _, point in oracle.mounts() if point.is_relative_to(folder)]
