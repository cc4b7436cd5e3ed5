"""A virtual machine with one kernel and this machine's programs, which runs pytest on what it is given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from tests.support.needs import find_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kernels.packages import Kernel

PROJECT: Final = Path(__file__).resolve().parents[2]
GUEST: Final = PROJECT / "tests/kernels/guest.sh"
DISK_BYTES: Final = 12 * 2**30
#: A boot takes half a minute without KVM; a hanging one should not take the night.
BOOT_SECONDS: Final = 600
#: What the tests of what this machine's own kernel may lack are made with.
FOR_THE_TESTS: Final = (
    "mkfs.vfat",
    "xorriso",
    "dmsetup",
    "vgcreate",
    "mdadm",
    "mkfs.xfs",
    "mkfs.btrfs",
    "mksquashfs",
    "bindfs",
)
#: Of the project's own files, and of its virtual environment what pytest needs.
PROJECT_FILES: Final = (
    "src",
    "tests",
    "examples",
    "docs",
    ".venv",
    "pyproject.toml",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
)
NOT_NEEDED: Final = shutil.ignore_patterns("mypy*", "ruff*", "virtme*", "test", "idlelib", "*.img", "site-packages")
NOT_NEEDED_HERE: Final = shutil.ignore_patterns("mypy*", "ruff*", "virtme*", "*.img")


@attrs.frozen
class Run:
    """One run of pytest in the machine."""

    name: str
    arguments: Sequence[str]
    seconds: int

    def line(self) -> str:
        """What guest.sh reads."""
        return " ".join([self.name, str(self.seconds), *self.arguments])


def missing_programs() -> list[str]:
    """Return what has to be installed before a machine can run."""
    needed = ("vng", "virtme-run", "qemu-system-x86_64", "busybox", "mkfs.ext4", "udevadm", *FOR_THE_TESTS)
    return [name for name in needed if find_tool(name) is None]


def make_disk(path: Path) -> None:
    """Make the disk of a machine: the project, its virtual environment and Python's own library."""
    with tempfile.TemporaryDirectory(prefix="ntt-loops-kernels-") as folder:
        staging = Path(folder)
        for name in PROJECT_FILES:
            _copy(PROJECT / name, staging / "project" / name)
        shutil.copytree(sysconfig.get_path("stdlib"), staging / "stdlib", symlinks=True, ignore=NOT_NEEDED)
        path.unlink(missing_ok=True)
        with path.open("wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", staging, path], check=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=NOT_NEEDED_HERE)
    else:
        shutil.copy2(source, target)


def run_in_machine(kernel: Kernel, runs: Sequence[Run], out: Path, disk: Path) -> None:
    """Boot the kernel, let it do these runs one after the other, and return when it is down."""
    (out / "list").write_text("".join(f"{run.line()}\n" for run in runs))
    with (out / "console.log").open("ab") as console:
        machine = subprocess.Popen(
            _command(kernel, out, disk),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd=out,
            start_new_session=True,
        )
        try:
            machine.wait(BOOT_SECONDS + sum(run.seconds for run in runs))
        except subprocess.TimeoutExpired:
            print(f"The machine of {kernel.version} does not come down; it is stopped.", file=sys.stderr)
        finally:
            _stop(machine)


def _command(kernel: Kernel, out: Path, disk: Path) -> list[str]:
    script = " ".join(map(str, ["sh", GUEST, out, PROJECT, sysconfig.get_path("stdlib")]))
    options = ["--disable-kvm", "--disable-microvm", "--force-9p", "--user=root", "--cpus=2", "--memory=3G"]
    folders = [f"--rodir={PROJECT}", f"--rwdir={out}"]
    drive = f"-drive if=none,id=work,format=raw,cache=unsafe,file={disk} -device virtio-blk-pci,drive=work"
    return ["nice", "vng", f"--run={kernel.image}", *options, *folders, f"--qemu-opts={drive}", f"--exec={script}"]


def _stop(machine: subprocess.Popen[bytes]) -> None:
    """End the machine and its helpers, which have a session of their own."""
    if machine.poll() is None:
        os.killpg(machine.pid, 9)
    machine.wait()
