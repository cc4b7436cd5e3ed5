#!/usr/bin/env python3
"""Take the images of a folder through all stages; killed at any moment and run again, it goes on where it was.

::

    orchestrator.py [HASH...] [--images /data/fast/img] [--archives /data/cold/img-read] [--work /data/fast/ntt]
                    [--root /mnt/ntt] [--workers 4] [--tries 3] [--pause 1] [--timeout 120] [--patience 10]

Each IMAGES/HASH.img is mounted (mount), its files are copied to WORK/out/HASH by several threads (copy), it is
unmounted (unmount), packed and deleted (archive). A partition that cannot be mounted is noted and left to the archive,
which holds all of the image; a medium of which nothing can be mounted fails, and waits for somebody who looks at it. A
stage that fails is tried again; a medium that fails in all tries is unmounted, the others go on. Several orchestrators
may run at once: a medium belongs to one of them. One that is read anew, from another file, begins anew.

WORK/state/HASH.json tells which stages are done and what failed, WORK/out/HASH.sha256 is for ``sha256sum -c`` in
WORK/out. Exit status: 0 all media are done; 1 some failed; 75 some are in use, or another orchestrator has them, and
none failed; 130 interrupted. SIGKILL leaves a mount at most, without a process or a descriptor of ours; the next run
takes it down, or cleanup_mounts.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.ntt.archiver import archive
from examples.ntt.common import FAILURES, Exit, checked_hash, exit_of, is_hash, run_program, say, worst
from examples.ntt.common.copying import copy_tree, sum_line
from examples.ntt.common.files import locked, write_whole
from examples.ntt.common.progress import choose_progress
from examples.ntt.common.state import State
from ntt_loops import mount_medium, sweep, unmount_medium

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops import MountedMedium


class Orchestrator:
    """The stages of a medium. Each can be run again, after a failure or a kill in the middle of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._out = options.work / "out"
        self._states = options.work / "state"
        self._progress = choose_progress()
        self._stages = {"mount": self.mount, "copy": self.copy, "unmount": self.unmount, "archive": self.archive}
        for folder in (options.images, options.archives):
            if not folder.is_dir():
                message = f"{folder} is no folder"
                raise NotADirectoryError(message)
        for folder in (self._out, self._states):
            folder.mkdir(parents=True, exist_ok=True)

    def mount(self, medium: str) -> object:
        """Mount what can be mounted; say what became of each partition."""
        partitions = [one.to_dict() for one in self._mounted(medium).partitions]
        if (self._out / medium).exists():  # no copy has begun: that one is of an image before this
            shutil.rmtree(self._out / medium)
        return partitions

    def copy(self, medium: str) -> object:
        """Copy all files, and write down their checksums."""
        mounted = self._mounted(medium)  # after a crash it is so still, or not
        scratch = self._options.work / "scratch" / medium
        sums: dict[str, str] = {}
        for one in mounted.partitions:
            if one.mount_point is not None:
                name = f"{medium}/p{one.number}" if mounted.layout == "multi" else medium
                progress = partial(self._progress.copying, name)
                found = copy_tree(one.mount_point, self._out / name, scratch, self._options.workers, progress)
                sums |= {f"{name}/{file}": digest for file, digest in found.items()}
        os.sync()  # the image will be deleted
        lines = [sum_line(digest, name) for name, digest in sorted(sums.items())]
        write_whole(self._out / f"{medium}.sha256", os.fsencode("".join(lines)))
        return f"{len(sums)} files"

    def unmount(self, medium: str) -> object:
        """Unmount the medium and release its devices."""
        report = unmount_medium(medium, root=self._options.root, timeout=self._options.patience)
        return [one.device for one in report.released]

    def archive(self, medium: str) -> object:
        """Pack the image, prove it, delete it."""
        packed = self._options.archives / f"{medium}.tar.zst"
        archive(self._image(medium), packed, timeout=self._options.patience)
        return str(packed)

    def run(self, media: Iterable[str]) -> Exit:
        """Process the media that no other orchestrator has; then detach what others left of deleted images."""
        results = [Exit.DONE]
        for medium in media:
            try:
                with locked(self._states / f"{medium}.lock", "ab"):
                    self.process(medium)
            except FAILURES as error:
                say(f"{medium}: FAILED: {error}")
                results.append(exit_of(error))
        sweep(under=self._options.images)
        return worst(results)

    def media(self) -> list[str]:
        """Return the media that have an image, or whose archive is not confirmed."""
        images = {path.stem for path in self._options.images.glob("*.img") if is_hash(path.stem)}
        states = {path.stem for path in self._states.glob("*.json") if "archive" not in self._state(path.stem).done}
        return sorted(images | states)

    def process(self, medium: str) -> None:
        """Take a medium through the stages that are left; however that ends, it is not left mounted."""
        state = self._state(medium)
        try:
            for name in [name for name in self._stages if name not in state.done]:
                state.at(name)
                said = self._tried(name, medium)
                state.finish(said)
                say(f"{medium}: {name}: {said}")
        except FAILURES as error:
            state.fail(error)
            raise
        finally:
            if "unmount" not in state.done:
                self._unmount_anyhow(medium)

    def _tried(self, name: str, medium: str) -> object:
        for _ in range(self._options.tries - 1):
            try:
                return self._stages[name](medium)
            except FAILURES as error:
                say(f"{medium}: {name} failed and is tried again: {error}")
                time.sleep(self._options.pause)
        return self._stages[name](medium)

    def _unmount_anyhow(self, medium: str) -> None:
        try:
            self.unmount(medium)
        except FAILURES as error:
            say(f"{medium}: left as it is: {error}")

    def _mounted(self, medium: str) -> MountedMedium:
        options = self._options
        return mount_medium(self._image(medium), medium=medium, root=options.root, timeout=options.timeout)

    def _state(self, medium: str) -> State:
        return State(self._states / f"{medium}.json", self._image(medium))

    def _image(self, medium: str) -> Path:
        return Path(self._options.images, f"{medium}.img")


def main() -> Exit:
    """Take all media, or those named, as far as they go."""
    parser = argparse.ArgumentParser(description="Take the images of a folder through all stages.")
    parser.add_argument("hashes", metavar="HASH", nargs="*", help="a medium; by default all that are not done")
    parser.add_argument("--images", type=Path, default=Path("/data/fast/img"), help="where HASH.img is")
    parser.add_argument("--archives", type=Path, default=Path("/data/cold/img-read"), help="where HASH.tar.zst goes")
    parser.add_argument("--work", type=Path, default=Path("/data/fast/ntt"), help="for the copies and the state")
    parser.add_argument("--root", type=Path, default=Path("/mnt/ntt"), help="mount below this folder")
    parser.add_argument("--workers", type=int, default=4, help="threads that copy")
    parser.add_argument("--tries", type=int, default=3, help="of each stage")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two of them")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for mounting a medium")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to wait for a device in use")
    options = parser.parse_args()
    orchestrator = Orchestrator(options)
    return orchestrator.run([checked_hash(one) for one in options.hashes] or orchestrator.media())


if __name__ == "__main__":
    run_program(main)
