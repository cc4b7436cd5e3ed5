"""Evidence: looking at an image through a mount changes no byte of it, whatever its journal holds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops, MountError
from tests.support import oracle
from tests.support.dirty import attached_writable, make_clean, make_dirty
from tests.support.media import new_id
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JOURNALED = ("ext3", "ext4", "xfs", "btrfs")
ALL = ("ext2", "ext4-nojournal", *JOURNALED)


@pytest.mark.parametrize("kind", JOURNALED)
def test_the_images_are_really_dirty(tmp_path: Path, kind: str) -> None:
    """A mount that is read-only and no more replays the journal into a writable device: so these images are dirty."""
    image = make_dirty(tmp_path / f"{new_id()}.img", kind)
    before = oracle.sha256(image)
    with attached_writable(image) as device, mounted(device, tmp_path / "mnt", "-o", "ro"):
        pass
    assert oracle.sha256(image) != before


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("make", [make_clean, make_dirty])
def test_a_read_only_device(loops: Loops, tmp_path: Path, kind: str, make: Callable[[Path, str], Path]) -> None:
    """Attached and mounted by the library an image stays as it is, and can be read, dirty or not."""
    image = make(tmp_path / f"{new_id()}.img", kind)
    before = oracle.sha256(image)
    with loops.attached(image) as device, loops.mounted(device) as point:
        assert point.is_mount()
        sum(len(path.read_bytes()) for path in point.iterdir() if path.is_file())
    assert oracle.sha256(image) == before


@pytest.mark.parametrize("kind", ALL)
def test_a_writable_device(loops: Loops, tmp_path: Path, kind: str) -> None:
    """Not even where the device would take writes - somebody else made it so - is a journal replayed."""
    image = make_dirty(tmp_path / f"{new_id()}.img", kind)
    before = oracle.sha256(image)
    with attached_writable(image) as device, loops.mounted(device) as point:
        assert point.is_mount()
    assert oracle.sha256(image) == before


@pytest.mark.parametrize("kind", ALL)
def test_a_whole_medium(loops: Loops, tmp_path: Path, kind: str) -> None:
    """Nor by ``mount_medium``."""
    image = make_dirty(tmp_path / f"{new_id()}.img", kind)
    before = oracle.sha256(image)
    medium = loops.mount_medium(image, root=tmp_path / "root")
    assert [one.status for one in medium.partitions] == ["ok"]
    loops.unmount_medium(medium.medium, root=tmp_path / "root")
    assert oracle.sha256(image) == before


@pytest.mark.parametrize(("kind", "other"), [("ext4", "ext3"), ("ext4", "ext2"), ("ext3", "ext4"), ("xfs", "ext4")])
def test_a_wrong_file_system_that_the_caller_named(loops: Loops, tmp_path: Path, kind: str, other: str) -> None:
    """Mounted as another one than it is, if that works at all, it stays as it is."""
    image = make_dirty(tmp_path / f"{new_id()}.img", kind)
    before = oracle.sha256(image)
    with attached_writable(image) as device, suppress(MountError), loops.mounted(device, fstype=other):
        pass
    assert oracle.sha256(image) == before


@pytest.mark.parametrize(
    ("kind", "option"), [("ext3", "norecovery"), ("ext4", "norecovery"), ("xfs", "nouuid"), ("btrfs", "nologreplay")]
)
def test_the_options(loops: Loops, tmp_path: Path, kind: str, option: str) -> None:
    """A mount is read-only, runs nothing, believes no device node, and says what it does not replay."""
    image = make_clean(tmp_path / f"{new_id()}.img", kind)
    with loops.attached(image) as device, loops.mounted(device) as point:
        found = oracle.run("findmnt", "--noheadings", "--output", "OPTIONS", point).strip().replace("=", ",").split(",")
        assert {"ro", "nosuid", "nodev", "noatime", option} <= set(found)
