"""The real machine: blkid(8), mount(8), losetup(8), and processes that are killed."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo import images
from examples.demo.programs import run
from ntt_loops import Loops

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from examples.demo.machine import Kind
    from ntt_loops import LoopDevice

#: The device refuses writes as it is; ``noload`` keeps ext4 from replaying its journal, for which it would refuse the
#: mount of an image that needs it.
MOUNT_OPTIONS = "ro,noload,nosuid,nodev,noexec"
_WORKER = Path(__file__).with_name("worker.py")


class RealMachine:
    """This one, as root."""

    def make_image(self, path: Path, kind: Kind) -> Mapping[str, str]:
        """Make an image by mkfs.ext4(8)."""
        return images.make(path, kind)

    def describe(self, kind: Kind) -> str:
        """Return what such an image is."""
        return images.describe(kind)

    def identify(self, device: LoopDevice) -> str:
        """Ask blkid(8), not its cache."""
        return run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", device)

    def mount(self, device: LoopDevice, point: Path) -> None:
        """Mount an ext4."""
        run("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, device, point)

    def unmount(self, point: Path) -> None:
        """Unmount the last mount on a point."""
        if point.is_mount():
            run("umount", point)

    def losetup(self, image: Path) -> str:
        """Attach: each time it is a new device. Where another process had the free number first, try again."""
        for pause in (0.01, 0.05, 0.25):
            with contextlib.suppress(OSError):
                return run("losetup", "-f", "--show", "-r", "-P", image)
            time.sleep(pause)
        return run("losetup", "-f", "--show", "-r", "-P", image)

    @contextlib.contextmanager
    def read_elsewhere(self, device: str) -> Iterator[None]:
        """Start a process that keeps the device open until its standard input ends; that a Ctrl-C anywhere ends too."""
        with Path(device).open("rb") as file:
            reader = subprocess.Popen(
                ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[file.fileno()]
            )
        with reader:  # closes its input, and waits
            yield

    def kill_worker(self, image: Path, point: Path) -> str:
        """Run ``worker.py`` up to its mount, and kill it by SIGKILL."""
        command = [sys.executable, *map(str, (_WORKER, image, point)), MOUNT_OPTIONS]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            try:
                device = worker.stdout.readline().strip() if worker.stdout else ""
            finally:
                worker.kill()
        if not device:
            message = "worker.py ended before it had mounted the image"
            raise OSError(message)
        return device

    def other_ledger(self, run_dir: Path) -> Loops:
        """Keep another ledger of the same devices."""
        return Loops(run_dir)

    def devices_below(self, folder: Path) -> list[str]:
        """Ask losetup(8), not the library."""
        text = run("losetup", "--json", "--list", "--output", "NAME,BACK-FILE")
        rows = json.loads(text, strict=False)["loopdevices"] if text else []  # a file name may hold a newline
        return [row["name"] for row in rows if (row["back-file"] or "").startswith(f"{folder}/")]

    def mounts_below(self, folder: Path) -> list[str]:
        """Ask the kernel, not the library."""
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        points = [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4]) for line in lines]
        return [point for point in points if point.startswith(f"{folder}/")]

    def witness(self) -> str:
        """Return who was asked."""
        return "losetup --json and mountinfo"
