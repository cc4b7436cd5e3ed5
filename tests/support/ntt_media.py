"""Media for the tests of the NTT programs, and who judges what became of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tests.support import ntt, ntt_disks, oracle
from tests.support.images import make_image
from tests.support.media import new_hash

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

#: Makes a medium in a folder.
Maker: TypeAlias = Callable[[Path], Path]

DONE: Final = 0
ERROR: Final = 1
USAGE: Final = 2
BUSY: Final = 75
INTERRUPTED: Final = 130

FILES: Final = {"letters/1983.txt": b"Dear reader" * 500, "note": b"a note"}
MORE: Final = {"second": b"on the second partition"}


def whole_disk(folder: Path) -> Path:
    """Make a medium without partitions."""
    return make_image(folder / f"{new_hash()}.img", files=FILES)


def two_partitions(folder: Path) -> Path:
    """Make a medium with an ext4 in each of two partitions."""
    contents = {1: ntt_disks.ext4(folder / "one", FILES), 2: ntt_disks.ext4(folder / "two", MORE)}
    return ntt_disks.make_disk(folder / f"{new_hash()}.img", ntt_disks.TWO, contents)


def ext4_and_xfs(folder: Path) -> Path:
    """Make a medium with an ext4 and an xfs, by GPT."""
    contents = {1: ntt_disks.ext4(folder / "one", FILES), 2: ntt_disks.xfs(folder / "two", MORE)}
    script = "label: gpt\nsize=8MiB\nsize=300MiB\n"
    return ntt_disks.make_disk(folder / f"{new_hash()}.img", script, contents, size_bytes=320 * ntt_disks.MIB)


def garbage(folder: Path) -> Path:
    """Make a medium in which nothing can be mounted."""
    return make_image(folder / f"{new_hash()}.img", fs=None, size_bytes=ntt_disks.MIB)


def mount_helper(*arguments: str | os.PathLike[str], root: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run mount_helper.py below a root."""
    return ntt.run("mount_helper.py", *arguments, "--root", root, **options)


def mount(image: Path, root: Path) -> dict[str, Any]:
    """Mount a medium, and return what was answered."""
    done = mount_helper("mount", image.stem, image, root=root)
    assert done.returncode == DONE, done.stderr
    return answer_of(done)


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON on stdout: one line, and nothing before it or after it."""
    assert done.stdout.count("\n") == 1
    assert done.stdout.endswith("}\n")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def mounts_below(folder: Path) -> list[Path]:
    """Return the mount points below a folder, sorted."""
    return sorted(point for _, point in oracle.mounts() if point.is_relative_to(folder))


def assert_nothing_of(image: Path, root: Path) -> None:
    """No device of the image, living or deleted, no mount, and no folder of the medium is left."""
    oracle.wait_until(lambda: oracle.bound_to_path(image) == [], f"no device is left of {image}", seconds=2)
    assert mounts_below(root) == []
    assert not (root / image.stem).exists()


@contextmanager
def working_in(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works in a folder."""
    with subprocess.Popen(["sleep", "60"], cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()
