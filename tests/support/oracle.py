"""Independent judges of loop devices: losetup, sysfs and mountinfo, never the library that is tested."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: For BACK-INO and BACK-MAJ:MIN losetup opens each device for a moment; the others it reads in sysfs.
LOSETUP_COLUMNS: Final = "NAME,BACK-FILE,BACK-INO,BACK-MAJ:MIN,AUTOCLEAR,RO,PARTSCAN,OFFSET,SIZELIMIT,DIO,LOG-SEC"
BLOCK: Final = Path("/sys/block")
DELETED: Final = b" (deleted)"
#: Nothing here is about time: far longer than anything takes on a machine that is busy with other things.
PATIENCE_SECONDS: Final = 180.0

#: What losetup says when another process had the free number first.
LOST_RACES: Final = (
    "Device or resource busy",
    "Resource temporarily unavailable",
    "No such device or address",
)


def run(*command: str | os.PathLike[str]) -> str:
    """Run a system tool and return its output; a failure shows the tool's own words."""
    done = _run(*command)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.stdout


def losetup_list(columns: str = LOSETUP_COLUMNS) -> list[dict[str, Any]]:
    """Return what ``losetup --json --list`` says, one dict per bound device."""
    text = run("losetup", "--json", "--list", "-O", columns)
    # Nothing at all is printed where there is no device; a file name may hold control characters.
    return list(json.loads(text, strict=False)["loopdevices"]) if text.strip() else []


def losetup_attach(image: Path, *options: str) -> str:
    """Attach with ``losetup -f --show`` and these options (``-r -P`` if none), and return the device."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        done = _run("losetup", "-f", "--show", *(options or ("-r", "-P")), image)
        if done.returncode == 0:
            return done.stdout.strip()
        if not _lost_race(done.stderr) or time.monotonic() > deadline:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        time.sleep(random.uniform(0.001, 0.01))


def losetup_detach(device: str) -> None:
    """Run ``losetup -d``, whose success says nothing about the device: ask `is_bound`."""
    run("losetup", "-d", device)


def bound_devices(image: Path) -> list[str]:
    """Return the devices of the file that now stands at this path, by its device and inode."""
    stat = image.stat()
    return devices_of(stat.st_dev, stat.st_ino)


def devices_of(dev: int, inode: int) -> list[str]:
    """Return the devices of a file that may be deleted by now, by its ``st_dev`` and ``st_ino``."""
    name = f"{os.major(dev)}:{os.minor(dev)}"
    rows = losetup_list("NAME,BACK-INO,BACK-MAJ:MIN")
    # A device on a dead server has no inode to tell.
    same_inode = [row for row in rows if row["back-ino"] is not None and int(row["back-ino"]) == inode]
    return [row["name"] for row in same_inode if row["back-maj:min"].strip() == name]


def bound_to_path(path: Path) -> list[str]:
    """Return the devices whose backing file has, or had until it was deleted, this very path."""
    name = os.fsencode(path)
    return [device for device, backing in backing_files() if backing in (name, name + DELETED)]


def bound_below(folder: Path) -> list[str]:
    """Return the devices whose backing file lies below a folder, and the devices stacked on those."""
    backing = dict(backing_files())
    below = os.fsencode(folder) + b"/"
    found = [device for device, name in backing.items() if name.startswith(below)]
    for device in found:  # it grows while it is walked: a stack may have several floors
        upper = [name for name in backing if _is_node_of(device, backing[name])]
        found += [name for name in upper if name not in found]
    return found


def backing_files() -> Iterator[tuple[str, bytes]]:
    """Yield each bound device with the bytes of its backing file as sysfs has them."""
    for attribute in BLOCK.glob("loop*/loop/backing_file"):
        try:
            backing = attribute.read_bytes()
        except OSError:  # it was detached meanwhile
            continue
        yield f"/dev/{attribute.parent.parent.name}", backing.removesuffix(b"\n")


def is_bound(device: str) -> bool:
    """Say whether sysfs shows a device as bound."""
    return (BLOCK / Path(device).name / "loop").is_dir()


def diskseq(number: int) -> int | None:
    """Return the sequence number of a loop device, which every attach and detach changes; None before Linux 5.15."""
    attribute = BLOCK / f"loop{number}" / "diskseq"
    return int(attribute.read_text()) if attribute.exists() else None


def device_number(device: str) -> int:
    """Return N of ``/dev/loopN``."""
    return int(Path(device).name.removeprefix("loop"))


def partition_nodes(device: str) -> list[str]:
    """Return the partitions that sysfs shows on a device, bound or not."""
    name = Path(device).name
    return sorted(f"/dev/{path.parent.name}" for path in (BLOCK / name).glob(f"{name}p*/partition"))


def mounts_of(device: str) -> list[Path]:
    """Return where a device and its partitions are mounted in our mount namespace, the last mount first."""
    numbers = _device_numbers(device)
    return [point for number, point in reversed(mounts()) if number in numbers]


def mounts() -> list[tuple[str, Path]]:
    """Return device number and mount point of each mount of our own mount namespace."""
    fields = [line.split(b" ") for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]
    return [(field[2].decode(), Path(os.fsdecode(_unescape(field[4])))) for field in fields]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Ask again until it holds, and fail at the deadline saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.005)


def _run(*command: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    locale = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, env=locale, capture_output=True, text=True, errors="surrogateescape", check=False)


def _lost_race(message: str) -> bool:
    return any(reason in message for reason in LOST_RACES)


def _is_node_of(device: str, name: bytes) -> bool:
    return re.fullmatch(re.escape(os.fsencode(device)) + rb"(p\d+)?", name) is not None


def _device_numbers(device: str) -> set[str]:
    name = Path(device).name
    nodes = [BLOCK / name / "dev", *(BLOCK / name).glob(f"{name}p*/dev")]
    return {node.read_text().strip() for node in nodes if node.exists()}


def _unescape(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)
