#!/usr/bin/env python3
"""Images of old media are identified, copied out, packed and deleted, and no loop device is left behind.

::

    make demo                                             as root: real images on real loop devices
    .venv/bin/python examples/pipeline.py --in-memory     without root: devices, mounts and programs are played

``Pipeline`` is what to copy. The folder ``demo`` makes the images, runs blkid(8) and mount(8), lets one stage of each
medium fail, plays those who attach the same images by losetup(8), counts, and proves at the end what is said here.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples import demo
from ntt_loops import DeviceBusyError, ReleaseReport, attached, release_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops import LoopDevice

#: How long a release waits for a device in use: one of them is so for good. The library's own default is ten seconds.
PATIENCE_SECONDS = 1.0


class Pipeline:
    """The stages of a medium. Each attaches the image anew, returns what it did in words, and can be run again."""

    def __init__(self, machine: demo.Machine, folder: Path) -> None:
        self._machine = machine
        self._folder = folder
        self.stages = {
            "identify": self.identify,
            "copy": self.copy,
            "release": self.release,
            "pack": self.pack,
            "unlink": self.unlink,
        }

    def identify(self, medium: demo.Medium) -> str:
        """Ask what the image holds."""
        with medium.count.attached(attached(medium.image)) as device:
            return f"{self._machine.identify(device)}, seen on {device}"

    def copy(self, medium: demo.Medium) -> str:
        """Mount the file system read-only, copy its files out with their checksums, unmount."""
        target = self._folder / "out" / medium.id
        with (
            medium.count.attached(attached(medium.image)) as device,
            self._mounted(device, medium.mount_point) as source,
        ):
            medium.copied = copy_files(source, target)
        sums = target.relative_to(self._folder) / "SHA256SUMS"
        return f"{device} mounted read-only, files copied: {len(medium.copied)}, unmounted; checksums: {sums}"

    def release(self, medium: demo.Medium) -> str:
        """Detach every device of the medium, whoever made it, before the image is packed."""
        return self._release_all(medium, medium.id)

    def pack(self, medium: demo.Medium) -> str:
        """Pack the image and what was copied out of it."""
        packed = self._folder / "archive" / f"{medium.id}.tar"
        packed.parent.mkdir(exist_ok=True)
        unfinished = packed.with_suffix(".unfinished")
        with tarfile.open(unfinished, "w") as archive:
            archive.add(medium.image, medium.image.name)
            archive.add(self._folder / "out" / medium.id, "files")
        unfinished.replace(packed)
        return f"{packed.relative_to(self._folder)}, {packed.stat().st_size} bytes"

    def unlink(self, medium: demo.Medium) -> str:
        """Delete the image. Where a device still holds it the first line raises, and the last but one never runs."""
        said = self._release_all(medium, medium.image)
        medium.sha256_at_unlink = demo.sha256(medium.image)
        medium.image.unlink()
        return f"{said}; then the image is deleted"

    def _release_all(self, medium: demo.Medium, what: str | Path) -> str:
        """Release by id or by path, and count. All others are released although one is busy."""
        try:
            report = release_all(what, unmount=True, timeout=PATIENCE_SECONDS)
        except DeviceBusyError as error:
            medium.count.released(error.report)
            demo.tell("release", in_words(error.report))
            raise
        medium.count.released(report)
        return in_words(report)

    @contextlib.contextmanager
    def _mounted(self, device: LoopDevice, point: Path) -> Iterator[Path]:
        point.mkdir(parents=True, exist_ok=True)
        try:
            self._machine.mount(device, point)
            yield point
        finally:
            self._machine.unmount(point)


def copy_files(source: Path, target: Path) -> dict[str, str]:
    """Copy the files below a folder; return the SHA-256 of each by its relative name, and write them down.

    A symlink stays one: what it leads to may be this machine's.
    """
    checksums = {}
    for file in sorted(path for path in source.rglob("*") if path.is_symlink() or path.is_file()):
        name = str(file.relative_to(source))
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        shutil.copyfile(file, copy, follow_symlinks=False)
        if copy.is_symlink():
            continue
        checksums[name] = demo.sha256(file)
        if demo.sha256(copy) != checksums[name]:
            message = f"{copy} differs from {file}"
            raise OSError(message)
    lines = [f"{checksum}  {name}\n" for name, checksum in checksums.items()]
    (target / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return checksums


def in_words(report: ReleaseReport) -> str:
    """Return what was released."""
    devices = [f"{one.device} (by {one.found_by})" for one in report.released]
    devices += [f"{one.device} (gone with its mount or process)" for one in report.already_gone]
    return f"detached {', '.join(devices)}" if devices else "no device is attached"


def process(pipeline: Pipeline, machine: demo.Machine, story: demo.Story, medium: demo.Medium) -> None:
    """Take a medium through all stages; one fails, and is run again."""
    for name, stage in pipeline.stages.items():
        for action in story.before.get(name, ()):
            demo.tell("others", action(machine, medium))
        run = partial(stage, medium)
        if name == story.failing:
            try:
                demo.tell(name, story.fault(machine, medium, run))
            except story.error as error:
                medium.failures.append(str(error))
                demo.tell(name, f"FAILED: {error}")
        demo.tell("again" if name == story.failing else name, run())


def run_all(machine: demo.Machine, folder: Path) -> bool:
    """Process all media, sweep, print the table; return whether the proofs hold."""
    pipeline = Pipeline(machine, folder)
    media = []
    for number, story in enumerate(demo.STORIES, 1):
        demo.headline(f"Medium {number}: {story.title}")
        media.append(demo.make_medium(machine, folder, story.kind))
        process(pipeline, machine, story, media[-1])
    orphaned = demo.delete_one_and_sweep(machine, folder)
    demo.print_table([*media, orphaned])
    return demo.prove(machine, folder, media, orphaned)


def main() -> int:
    """Run it; return 1 where a proof fails, 130 where it was interrupted."""
    parser = argparse.ArgumentParser(description="The main job of ntt_loops, on images that it makes itself.")
    parser.add_argument("--in-memory", action="store_true", help="play the loop devices, as is done without root")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.print_warnings()
    try:
        with demo.choose_machine(in_memory=arguments.in_memory) as machine, demo.working_folder(machine) as folder:
            return 0 if run_all(machine, folder) else 1
    except KeyboardInterrupt:
        print("Interrupted.")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
