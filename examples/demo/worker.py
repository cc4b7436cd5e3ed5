"""A stage in a process of its own, which is killed in the middle: ``worker.py IMAGE MOUNT_POINT OPTIONS``."""

from __future__ import annotations

import logging
import subprocess
import sys

from ntt_loops import attached


def main(image: str, point: str, options: str) -> None:
    """Attach, mount, say so, and wait for the end."""
    logging.getLogger("ntt_loops").setLevel(logging.ERROR)  # what there is to warn of was told before
    with attached(image) as device:
        subprocess.run(["mount", "-t", "ext4", "-o", options, device, point], check=True)
        try:
            print(device, flush=True)
            sys.stdin.read()
        finally:
            subprocess.run(["umount", point], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
