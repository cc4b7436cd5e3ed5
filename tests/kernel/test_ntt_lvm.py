"""``examples/ntt/common/lvm.py`` reads what the LVM tools wrote."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from examples.ntt.common.lvm import volume_group
from tests.support import ntt_disks, oracle
from tests.support.ntt_disks import MIB

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A physical volume."""
    return ntt_disks.lvm(tmp_path / "pv", "vg-1983", ["root", "home.old"])


def test_group_and_volumes_are_those_that_lvm_made(volume: Path) -> None:
    """Names as given, and the UUID that blkid has too."""
    found = volume_group(volume, 0)
    assert found is not None
    assert found[:1] + found[2:] == ("LVM2_member", "vg-1983", ["root", "home.old"])
    assert found.pv_uuid == oracle.run("blkid", "-p", "-o", "value", "-s", "UUID", volume).strip()


def test_it_is_found_in_a_partition(volume: Path) -> None:
    """The volume begins where the partition does."""
    script = "label: dos\nsize=4MiB, type=83\nsize=18MiB, type=8e\n"
    disk = ntt_disks.make_disk(volume.with_name("disk.img"), script, {2: volume})
    found = volume_group(disk, ntt_disks.starts_bytes(disk)[2])
    assert found is not None
    assert found.vg_name == "vg-1983"
    assert volume_group(disk, ntt_disks.starts_bytes(disk)[1]) is None


def test_metadata_go_on_at_the_beginning_of_their_area(volume: Path) -> None:
    """The area is a ring: a text that reaches its end goes on behind its header."""
    area, place = 4096, 4096 + 40  # of the area's header, and in it where the text is
    content = bytearray(volume.read_bytes())
    size, offset, length = struct.unpack_from("<QQQ", content, place - 8)
    text = content[area + offset : area + offset + length]
    content[area + size - 100 : area + size] = text[:100]
    content[area + 512 : area + 512 + length - 100] = text[100:]
    struct.pack_into("<Q", content, place, size - 100)
    volume.write_bytes(content)
    found = volume_group(volume, 0)
    assert found is not None
    assert found.lv_names == ["root", "home.old"]


@pytest.mark.parametrize("what", ["empty", "cut", "no metadata", "no text", "no label"])
def test_what_cannot_be_read_is_none(volume: Path, what: str) -> None:
    """A damaged volume is no error."""
    content = bytearray(volume.read_bytes())
    if what == "no metadata":
        content[4096:8192] = bytes(4096)
    elif what == "no text":
        content[8192 - 4096 + 512 : MIB] = bytes(MIB - 4096 - 512)
    elif what == "no label":
        content[:2048] = bytes(2048)
    volume.write_bytes(content[: {"empty": 0, "cut": 5000}.get(what)])
    assert volume_group(volume, 0) is None
