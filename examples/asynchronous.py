"""Look into many images at once with asyncio: ``python examples/asynchronous.py IMAGE...``, as root.

Each image is attached for as long as its table of partitions is read; no more than ``AT_ONCE`` at a time. Ctrl-C, a
failure of one, or the end of the time for all cancels the rest, and no device is left. Prints a line for each image.

It returns 0; 1 when an image could not be looked into or is still in use; 75 when the time was over.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ntt_loops import NttLoopsError, attached, release_all_async, sweep_async

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_ONCE = 8
SECONDS_FOR_ALL = 600.0


async def look_into(image: Path, turn: asyncio.Semaphore) -> str:
    """Attach an image, tell what is on it, and see that no device of it is left, whoever made that."""
    async with turn:
        async with attached(image) as device:
            partitions = await asyncio.to_thread(lambda: device.partitions)  # runs partx(8): not for the event loop
            told = f"{image.name}: {device.size_bytes} bytes, {len(partitions)} partitions"
        await release_all_async(image)
        return told


async def look_into_all(images: Iterable[Path]) -> list[str]:
    """Look into all at once; what one of them raises cancels the others."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with asyncio.timeout(SECONDS_FOR_ALL), asyncio.TaskGroup() as group:
        tasks = [group.create_task(look_into(image, turn)) for image in images]
    await sweep_async()
    return [task.result() for task in tasks]


def main(arguments: list[str]) -> int:
    """Look into the images that are named."""
    try:
        told = asyncio.run(look_into_all(map(Path, arguments)))
    except* NttLoopsError as failed:
        print(*(str(error) for error in failed.exceptions), sep="\n", file=sys.stderr)
        return_code = 1
    except* TimeoutError:
        print(f"not done within {SECONDS_FOR_ALL:.0f} s", file=sys.stderr)
        return_code = 75
    else:
        print(*told, sep="\n")
        return_code = 0
    return return_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
