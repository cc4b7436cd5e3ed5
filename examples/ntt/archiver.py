#!/usr/bin/env python3
"""Pack the image of a medium, prove the archive, and delete the image when no loop device holds it any more.

::

    archiver.py HASH [--images /data/fast/img] [--archives /data/cold/img-read] [--timeout 10]

It works on IMAGES/HASH.img and makes ARCHIVES/HASH.tar.zst, as ntt-archiver did, and ends with 0 (the image is packed
and gone), 75 (somebody uses a device of it, or another archiver is at work) or 1. The image is deleted last: whatever
goes wrong before - a full disk, a damaged archive, a device in use - it stays, and the next run goes on where this one
stopped. Where the archive is there already that is the proof and the release, so a device that was in use is not
forgotten. An archive has its name only when it is whole, proved, and on the disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.demo.medium import sha256
from examples.ntt.common import Exit, checked_hash, run_program, say
from examples.ntt.common.files import locked, put_in_place
from ntt_loops import release_all


def archive(image: Path, packed: Path, *, timeout: float) -> None:
    """Pack an image and delete it. Again, it goes on where it stopped.

    Raises:
        DeviceBusyError: Somebody uses a device of the medium.
        BlockingIOError: Another archiver is at work on it.
        OSError: The image or the archive is missing, cannot be written, or is not what it should be.
    """
    release(image, timeout)
    if image.exists():
        _pack_and_delete(image, packed, timeout)
    elif not packed.exists():
        message = f"there is neither {image} nor {packed}"
        raise FileNotFoundError(message)
    release(image, timeout)  # what somebody attached while the image was about to go


def _pack_and_delete(image: Path, packed: Path, timeout: float) -> None:
    with locked(image, "rb") as file:
        before = _identity(os.fstat(file.fileno()))
        if packed.exists():
            check(packed, image)
        else:
            pack(image, packed)
        release(image, timeout)
        if _identity(image.stat()) != before:
            message = f"{image} is not the file any more that was packed as {packed}; neither is touched"
            raise OSError(message)
        image.unlink()
    say(f"{image.stem}: {image} is deleted")


def release(image: Path, timeout: float) -> None:
    """Unmount and detach all that is attached of the medium, then all of this very file, deleted or not."""
    for what in (image.stem, image):
        report = release_all(what, unmount=True, timeout=timeout)
        if report.released:
            say(f"{image.stem}: detached {', '.join(one.device for one in report.released)}")


def pack(image: Path, packed: Path) -> None:
    """Make the archive under another name, prove it, and give it its own."""
    unfinished = packed.with_name(f"{packed.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    command = ("tar", "-I", "zstd -q -T0", "-C", image.parent, "-cf", "-", "--", image.name)
    try:
        with unfinished.open("xb") as file:
            _run(f"{image} was not packed", *command, output=file)
            check(unfinished, image)
            put_in_place(file, unfinished, packed)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    say(f"{image.stem}: packed as {packed}, {packed.stat().st_size} bytes")


def check(packed: Path, image: Path) -> None:
    """Prove that an archive is sound and holds the image.

    Raises:
        OSError: It does not; the image must stay.
    """
    damaged = f"{packed} is damaged; delete it to have {image} packed anew"
    _run(damaged, "zstd", "-q", "-t", packed)
    sums = _run(damaged, "tar", "-I", "zstd", "-xf", packed, "--to-command=sha256sum", "--", image.name)
    if sums.split()[:1] != [sha256(image)]:
        message = f"{packed} does not hold {image} as it is; delete it to have the image packed anew"
        raise OSError(message)


def _run(failure: str, *command: str | Path, output: int | IO[bytes] = subprocess.PIPE) -> str:
    """Run a program that is killed when this one is; return its output."""
    done = subprocess.run(
        ("setpriv", "--pdeathsig", "KILL", "--", *command),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"{failure}: {done.stderr.strip()}"
        raise OSError(message)
    return done.stdout or ""


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def main() -> Exit:
    """Archive one medium."""
    parser = argparse.ArgumentParser(description="Pack the image of a medium and delete it.")
    parser.add_argument("hash", help="the medium's, and the image's name")
    parser.add_argument("--images", type=Path, default=Path("/data/fast/img"), help="where HASH.img is")
    parser.add_argument("--archives", type=Path, default=Path("/data/cold/img-read"), help="where HASH.tar.zst goes")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds that a release waits for a device in use")
    arguments = parser.parse_args()
    medium = checked_hash(arguments.hash)
    archive(arguments.images / f"{medium}.img", arguments.archives / f"{medium}.tar.zst", timeout=arguments.timeout)
    return Exit.DONE


if __name__ == "__main__":
    run_program(main)
