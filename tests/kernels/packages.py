"""A Debian kernel of any suite: its package, found by this machine's apt, downloaded and unpacked, not installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Debian's suites with the kernels that the library is meant for: 5.10, 6.1, 6.12.
SUITES: Final = ("bullseye", "bookworm", "trixie")
ARCHITECTURE: Final = "amd64"
META_PACKAGE: Final = f"linux-image-{ARCHITECTURE}"
DOWNLOAD_SECONDS: Final = 1800
#: What apt knows of each of its sources.
SOURCE_FIELDS: Final = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)"


class NoKernelError(Exception):
    """A kernel can not be had; the message says what was tried and what to do."""


@attrs.frozen
class Kernel:
    """An unpacked kernel."""

    suite: str
    image: Path

    @property
    def version(self) -> str:
        """Its version as ``uname -r`` says it."""
        return self.image.name.removeprefix("vmlinuz-")


def cache_folder() -> Path:
    """Where the packages are kept: a second run downloads nothing."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ntt-loops-kernels"


def kernel_of(suite: str) -> Kernel:
    """Return a suite's kernel, from the cache or else from the network."""
    folder = cache_folder() / suite
    if not _images(folder / "root"):
        _unpack(_download(suite, folder), folder / "root")
    images = _images(folder / "root")
    if not images:
        raise NoKernelError(f"The package of {suite} holds no boot/vmlinuz-*: delete {folder} and try again.")
    return Kernel(suite, images[-1])


def _images(root: Path) -> list[Path]:
    """Return the kernels of an unpacked package that is complete: depmod comes last."""
    images = sorted((root / "boot").glob("vmlinuz-*"))
    return [image for image in images if (root / "lib/modules" / image.name[8:] / "modules.dep.bin").exists()]


def _download(suite: str, folder: Path) -> Path:
    options = _private_apt(suite, folder)
    _run("apt-get", *options, "update", "--quiet")
    package = _newest(options, suite)
    _run("apt-get", *options, "download", "--quiet", package, cwd=folder)
    return max(folder.glob(f"{package}_*.deb"))


def _newest(options: Sequence[str], suite: str) -> str:
    """Return the package that the meta-package stands for."""
    text = _run("apt-cache", *options, "depends", "--important", META_PACKAGE)
    names = [line.split()[-1] for line in text.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise NoKernelError(f"{META_PACKAGE} of {suite} names no kernel; apt-cache says: {text.strip()!r}")
    return names[0]


def _private_apt(suite: str, folder: Path) -> list[str]:
    """Options for an apt with lists, packages and sources of its own; keys and proxies are the machine's."""
    for name in ("lists/partial", "cache/archives/partial", "sources"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = folder / "sources" / "debian.list"
    source.write_text(f"deb {_repository()} {suite} main\n")
    places = {
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Architecture": ARCHITECTURE,
        "APT::Get::List-Cleanup": "false",
        "APT::Sandbox::User": "root",
    }
    return [f"-o{name}={value}" for name, value in places.items()]


def _repository() -> str:
    """Return where this machine has its own release of Debian from."""
    own = _own_release()
    lines = _run("apt-get", "indextargets", "--format", SOURCE_FIELDS, "Created-By: Packages").splitlines()
    found = [uri for uri, *rest in (line.split("|") for line in lines) if rest == [own, "main", ARCHITECTURE]]
    if not found:
        raise NoKernelError(
            f"apt has no source of {own!r} main for {ARCHITECTURE} that the suite could be replaced in."
        )
    return found[0]


def _own_release() -> str:
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return words.get("VERSION_CODENAME", "").strip('"')


def _unpack(package: Path, root: Path) -> None:
    _run("dpkg-deb", "-x", package, root)
    if (root / "usr/lib/modules").is_dir() and not (root / "lib").exists():  # since trixie all is below /usr
        (root / "lib").symlink_to("usr/lib")
    for modules in (root / "lib/modules").iterdir():
        _run("depmod", "-b", root, modules.name)


def _run(*command: str | os.PathLike[str], cwd: Path | None = None) -> str:
    """Run a program of the package manager, or say in its own words what it lacks."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS)
    except FileNotFoundError as error:
        raise NoKernelError(f"{command[0]} is missing: this needs a Debian system.") from error
    except subprocess.TimeoutExpired as error:
        raise NoKernelError(f"{command[0]} did not end within {DOWNLOAD_SECONDS} s; is the network there?") from error
    if done.returncode != 0:
        words = f"{done.stdout}\n{done.stderr}".strip()
        raise NoKernelError(f"{' '.join(map(str, command))} failed; is the network there?\n{words}")
    return done.stdout
