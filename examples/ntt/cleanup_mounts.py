#!/usr/bin/env python3
"""Unmount media that nobody needs any more, and detach every loop device of them; then sweep.

::

    cleanup_mounts.py                      what is idle: attached for an hour or more, and used by nobody
    cleanup_mounts.py HASH...              these, now
    options: --root /mnt/ntt  --idle 3600  --under /data/fast/img  --timeout 10

A medium is idle when everything of it is on record for ``--idle`` seconds, no living process owns a device of it, and
nobody does anything in its mounts or has a device of it open. A sweep follows: it detaches devices whose deleted image
lay below a folder named by ``--under``, whoever made them, and of others this library's own. Whatever is in use stays
as it is, and is reported with its user.

Exit status: 0 done, also where media are kept since they are in use; 75 a medium that was named is in use; 1 an error.
It is made for a timer: two at once do no harm.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.ntt.common import FAILURES, Exit, checked_hash, exit_of, run_program, worst
from ntt_loops import holders, list_media, sweep, unmount_medium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops import Holder, MediumState


def clean(medium: str, root: Path, timeout: float) -> Exit:
    """Unmount and release a medium, and say so."""
    try:
        report = unmount_medium(medium, root=root, timeout=timeout)
    except FAILURES as error:
        print(f"{medium}: kept: {error}")
        return exit_of(error)
    devices = [one.device for one in report.released] + [one.device for one in report.already_gone]
    print(f"{medium}: detached {', '.join(devices)}" if devices else f"{medium}: nothing is attached")
    return Exit.DONE


def why_kept(state: MediumState, root: Path, idle_seconds: float) -> Iterator[str]:
    """Tell what speaks against unmounting a medium that nobody named; nothing where it is idle."""
    for one in state.attachments:
        if one.made_by == "scoped" and one.owner_is_alive:  # what is kept may outlive its maker
            yield f"{one.device} is that of process {one.owner_pid}"
        if one.made_by != "foreign" and (one.age_seconds is None or one.age_seconds < idle_seconds):
            yield f"{one.device} was attached less than {idle_seconds:.0f} s ago"
        yield from (str(holder) for holder in holders(one.device) if not _is_mount_below(root / state.medium, holder))


def _is_mount_below(folder: Path, holder: Holder) -> bool:
    """Whether it is a mount of the medium itself, and not in another mount namespace."""
    return holder.kind == "mount" and holder.pid is None and Path(holder.where).is_relative_to(folder)


def clean_idle(root: Path, idle_seconds: float, timeout: float) -> None:
    """Unmount and release all media on record that are idle, and say why the others are kept."""
    for state in list_media():
        reasons = list(why_kept(state, root, idle_seconds))
        if reasons:
            print(f"{state.medium}: kept: {'; '.join(reasons)}")
        else:
            clean(state.medium, root, timeout)


def sweep_up(under: list[Path]) -> None:
    """Detach orphans, and report."""
    report = sweep(under=under)
    for gone in report.released:
        print(f"sweep: detached {gone.device} of the deleted {gone.image}, {gone.freed_bytes} bytes came back")
    for kept in report.kept:
        print(f"sweep: kept {kept.device} of {kept.image}: {'; '.join([kept.reason, *map(str, kept.holders)])}")
    for problem in report.problems:
        print(f"sweep: {problem}")


def main() -> Exit:
    """Clean up once."""
    parser = argparse.ArgumentParser(description="Unmount media that nobody needs any more.")
    parser.add_argument("hashes", metavar="HASH", nargs="*", help="a medium; by default all that are idle")
    parser.add_argument("--root", type=Path, default=Path("/mnt/ntt"), help="where media are mounted")
    parser.add_argument("--idle", type=float, default=3600.0, help="seconds; what is younger is kept")
    parser.add_argument(
        "--under", type=Path, action="append", default=[], help="sweep for deleted images of this folder"
    )
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a medium in use")
    arguments = parser.parse_args()
    media = [checked_hash(one) for one in arguments.hashes]
    results = [clean(medium, arguments.root, arguments.timeout) for medium in media]
    if not media:
        clean_idle(arguments.root.resolve(), arguments.idle, arguments.timeout)
    sweep_up(arguments.under)
    return worst(results)


if __name__ == "__main__":
    run_program(main)
