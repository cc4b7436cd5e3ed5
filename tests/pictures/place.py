"""Where the scenes are played: below /mnt, in a mount namespace whose /mnt is nobody else's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.pictures.drawing import drawn, words

ROOT: Final = Path(__file__).parents[2]
_TOOLS: Final = ("losetup", "mkfs.ext4", "mount", "unshare")
_SECONDS: Final = 120
_PLAYS: Final = 6


def can_be_had() -> bool:
    """Whether this machine lets us attach and mount."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and all(map(shutil.which, _TOOLS))


def pictures(known: dict[str, list[str]]) -> dict[str, str]:
    """Return the pictures, by name: as soon as one play says what is known, or what the one before said.

    A stranger may look at a device in the very moment that it is shown.
    """
    for _ in range(_PLAYS):
        made = {name: drawn(name, shown) for name, shown in run_scenes().items()}
        said = {name: words(picture) for name, picture in made.items()}
        if said == known:
            break
        known = said
    return made


def run_scenes() -> dict[str, str]:
    """Play the scenes, and return what the terminal showed in each."""
    script = f'mount -t tmpfs tmpfs /mnt && exec "{sys.executable}" -m tests.pictures.scenes'
    command = ["unshare", "--mount", "--propagation=private", "bash", "-c", script]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=_SECONDS, check=True)
    shown: dict[str, str] = json.loads(done.stdout)
    return shown
