#!/usr/bin/env python3
"""Mount all partitions of a medium read-only, for any number of workers at once; with ntt-mount-helper's arguments.

::

    mount_helper.py mount HASH IMAGE    mount at ROOT/HASH, or ROOT/HASH/pN where several partitions can be mounted
    mount_helper.py unmount HASH        unmount it, detach every loop device of it
    mount_helper.py status HASH         is it mounted?

Options of each: ``--root /mnt/ntt``, and of the first two ``--timeout`` in seconds (120; 30).

Exit status: 0 done, also where the medium is mounted, or unmounted, already; 1 an error, or for ``status`` that it is
not mounted; 2 the arguments cannot be understood; 75 somebody uses it; 130 interrupted.

The last line on stdout is JSON, and nothing follows it; words for people go to stderr. ``mount`` says::

    {"layout": "single" | "multi", "partitions": [{"num", "device", "mount", "fstype", "status"}]}

``status`` is ok, failed, truncated, lvm_detected (with "lvm": what it holds), lvm_no_metadata, raid_member, swap or
extended; "mount" is "" but for ok. ``single`` - one mountable partition, or a disk without any, whose "num" is null -
has device, mount and fstype beside "layout" too, "offset" where the file system begins there (a Zip disk), and
"hybrid" where a whole disk is mounted that has a partition table as well: "apm", Apple's, or "mbr". Where nothing
could be mounted the line says why, and the exit status is 1. RAID and LVM members are not assembled.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.ntt.common import Exit, checked_hash, run_program, say
from examples.ntt.common.lvm import volume_group
from ntt_loops import MountError, holders, list_media, mount_medium, unmount_medium

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntt_loops import MountedPartition


#: Where an Apple partition map begins.
APPLE_MAP_BYTES = 512


def mount(arguments: argparse.Namespace) -> Exit:
    """Mount a medium, unless it is mounted."""
    try:
        mounted = mount_medium(arguments.image, medium=arguments.hash, root=arguments.root, timeout=arguments.timeout)
    except MountError as error:
        if error.partitions:
            answer(as_helper(_layout(error.partitions), error.partitions, arguments.image))
        raise
    for one in mounted.partitions:
        say(in_words(one))
    facts = as_helper(mounted.layout, mounted.partitions, arguments.image)
    if mounted.offset_bytes:
        facts["offset"] = mounted.offset_bytes
    if mounted.hybrid:
        facts["hybrid"] = table_of(arguments.image)
    answer(facts)
    return Exit.DONE


def unmount(arguments: argparse.Namespace) -> Exit:
    """Unmount a medium and detach its devices, all of them."""
    report = unmount_medium(arguments.hash, root=arguments.root, timeout=arguments.timeout)
    answer(report.to_dict())
    return Exit.DONE


def status(arguments: argparse.Namespace) -> Exit:
    """Tell where a medium is mounted."""
    place = arguments.root.resolve() / arguments.hash
    devices = [one.device for state in list_media(arguments.hash) for one in state.attachments]
    found = [one for device in devices for one in holders(device) if one.kind == "mount" and one.pid is None]
    mounts = {one.where: one.device for one in found if Path(one.where).is_relative_to(place)}
    answer(
        {
            "mounted": bool(mounts),
            "mounts": [{"device": device, "mount": point} for point, device in sorted(mounts.items())],
            "devices": devices,
        }
    )
    return Exit.DONE if mounts else Exit.ERROR


def as_helper(layout: str, partitions: Sequence[MountedPartition], image: Path) -> dict[str, Any]:
    """Return what is on a medium in ntt-mount-helper's own form."""
    facts = [_partition(one, image) for one in partitions]
    mounted = [one for one in facts if one["status"] == "ok"]
    top = {key: mounted[0][key] for key in ("device", "mount", "fstype")} if layout == "single" and mounted else {}
    return {"layout": layout, **top, "partitions": facts}


def _partition(one: MountedPartition, image: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "num": one.number,
        "device": one.device,
        "mount": str(one.mount_point or ""),
        "fstype": one.fstype,
        "status": one.status,
    }
    if one.status == "lvm_detected":
        group = volume_group(image, one.start_bytes)
        facts |= {"lvm": group._asdict()} if group else {"status": "lvm_no_metadata"}
    return facts


def _layout(partitions: Sequence[MountedPartition]) -> str:
    """Return what the layout would have been: single, where all that could be mounted is one."""
    return "single" if sum(one.status == "failed" for one in partitions) == 1 else "multi"


def table_of(image: Path) -> str:
    """Return which table a disc has beside its file system: apm, Apple's, or else mbr."""
    with image.open("rb") as file:
        file.seek(APPLE_MAP_BYTES)
        return "apm" if file.read(2) == b"PM" else "mbr"


def in_words(one: MountedPartition) -> str:
    """Return what became of a partition, with what mount(8) said."""
    where = f" at {one.mount_point}" if one.mount_point else ""
    error = f": {one.error}" if one.error else ""
    return f"{one.device} ({one.fstype or one.type or 'unknown'}): {one.status}{where}{error}"


def answer(facts: dict[str, Any]) -> None:
    """Print the line that callers read."""
    print(json.dumps(facts), flush=True)


def main() -> Exit:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description="Mount and unmount the image of a medium.")
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--root", type=Path, default=Path("/mnt/ntt"), help="mount below this folder")
    verbs = parser.add_subparsers(required=True)
    for action, seconds in ((mount, 120.0), (unmount, 30.0), (status, None)):
        verb = verbs.add_parser(action.__name__, help=action.__doc__, parents=[options])
        verb.add_argument("hash", help="the medium's")
        verb.set_defaults(action=action)
        if action is mount:
            verb.add_argument("image", type=Path, help="the medium's image")
        if seconds is not None:
            verb.add_argument("--timeout", type=float, default=seconds, help=f"in seconds, by default {seconds:.0f}")
    arguments = parser.parse_args()
    checked_hash(arguments.hash)
    result: Exit = arguments.action(arguments)
    return result


if __name__ == "__main__":
    run_program(main)
