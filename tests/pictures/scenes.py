"""A host with four devices, and what the command line says of it: printed as JSON, for who started this."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ntt_loops import attach_kept, mount_medium, release_all
from tests.pictures.place import ROOT
from tests.support import oracle
from tests.support.images import make_image
from tests.support.terminal import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Names that no other run has, since a release goes by them, and what stands for each in a picture.
IMAGES: Final = Path(f"/mnt/{secrets.token_hex(3)[1:]}/img")
HASH: Final = secrets.token_hex(16)
OTHER: Final = secrets.token_hex(16)
SHOWN: Final = {
    str(IMAGES): "/data/fast/img",
    HASH: "536a933b4481f605fcd44615740a9025",
    OTHER: "c01bb1b13d3e5a4e7f0b3a8d1c9e6f27",
}
ENVIRONMENT: Final = {"NTT_LOOPS_RUN_DIR": "/mnt/ntt-loops", "PICTURES_OF": str(IMAGES), "PYTHONPATH": str(ROOT)}


def shot(*words: str) -> str:
    """Return what a terminal shows after this command of ntt-loops, its status included where it is not 0."""
    with terminal(sys.executable, "-m", "tests.pictures.fenced", *words, **ENVIRONMENT) as screen:
        status = screen.end()
        told = f"\n\x1b[32m$\x1b[0m echo $?\n{status}" if status else ""
        text = f"\x1b[32m$\x1b[0m ntt-loops {' '.join(words)}\n{screen.raw.rstrip()}{told}"
    for name, instead in SHOWN.items():
        text = text.replace(name, instead)
    return text


@contextmanager
def running(*command: str) -> Iterator[None]:
    """Have a program at work that nothing comes of: nobody reads what it prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        try:
            yield
        finally:
            process.kill()


@contextmanager
def by_losetup(image: Path) -> Iterator[str]:
    """Attach like a script of old, whose image is then deleted."""
    device = subprocess.run(["losetup", "-f", "--show", "-r", image], stdout=subprocess.PIPE, text=True, check=True)
    image.unlink()
    try:
        yield device.stdout.strip()
    finally:
        oracle.losetup_detach(device.stdout.strip())


def play() -> dict[str, str]:
    """A medium that is mounted and read, one that a program copies, an orphan, and a deleted image in use."""
    IMAGES.mkdir(parents=True)
    images = [IMAGES / f"{name}.img" for name in (HASH, OTHER, "zip-7", "zip-9")]
    for image in images:
        make_image(image, size_bytes=4 * 2**20, files={"letter.txt": b"Dear Ann\n" * 9999})
    with ExitStack() as stack:
        for image in images[:2]:
            stack.callback(release_all, image, unmount=True)
        medium = mount_medium(images[0])
        kept = attach_kept(images[1])
        stack.enter_context(running("tail", "-f", f"{medium.mount_point}/letter.txt"))
        stack.enter_context(running("cat", str(kept)))
        orphan, used = (stack.enter_context(by_losetup(image)) for image in images[2:])
        stack.enter_context(running("cat", used))
        assert orphan
        return {
            "list": shot("list"),
            "why": shot("why", str(medium.devices[0])),
            "release": shot("release", HASH, "--unmount", "--timeout", "1"),
            "sweep": shot("sweep", "--under", str(IMAGES), "--dry-run"),
        }


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    json.dump(play(), sys.stdout)
