"""``ntt-loops mount`` and ``ntt-loops unmount``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ntt_loops

if TYPE_CHECKING:
    from pathlib import Path

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


@pytest.fixture
def root(kernel: MemoryKernel, tmp_path: Path) -> Path:
    """Where media are mounted; one image has a file system."""
    kernel.format("disk-12.img", "ext4")
    return tmp_path / "mnt"


def test_mount_prints_the_folder_alone(cli: CommandLine, root: Path) -> None:
    """For ``dir=$(ntt-loops mount ...)``; again, it is the same and success."""
    for _ in range(2):
        assert cli("mount", "disk-12.img", "--root", root) == (0, f"{root / 'disk-12'}\n", "")


def test_a_program_gets_the_folder_as_it_is(cli: CommandLine, root: Path) -> None:
    """Else ``dir=$(...)`` would name no folder; what is for people has nothing in it that a terminal would obey."""
    odd = "an odd\n\x1b[31mname"
    done = cli("mount", "disk-12.img", "--root", root, "--medium", odd)
    assert done.out == f"{root / odd}\n"
    assert (root / odd).is_dir()


def test_an_error_says_what_to_do(cli: CommandLine, root: Path) -> None:
    """What is in the way, and what to do about it."""
    (root / "disk-12").mkdir(parents=True)
    (root / "disk-12" / "file").touch()
    in_use = cli("mount", "disk-12.img", "--root", root)
    assert (in_use.status, in_use.err.endswith("it holds file: empty it\n")) == (1, True)


def test_mount_tells_all_in_json(cli: CommandLine, root: Path) -> None:
    """What the library's MountedMedium has."""
    found = cli("mount", "--json", "disk-12.img", "--root", root, "--medium", "m").json
    assert (found["medium"], found["layout"], found["mount_point"]) == ("m", "single", str(root / "m"))
    assert [one["status"] for one in found["partitions"]] == ["ok"]


@pytest.mark.parametrize("name", ["disk-12", "disk-12.img", "./disk-12.img", "{root}/disk-12"])
def test_unmount_takes_the_medium_the_image_or_the_folder(
    cli: CommandLine, kernel: MemoryKernel, root: Path, name: str
) -> None:
    """All goes: mount, device, folder; again, there is nothing to do."""
    cli("mount", "disk-12.img", "--root", root)
    done = cli("unmount", name.format(root=root), "--root", root)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("released /dev/loop0 of ")
    assert kernel.bound_numbers() == []
    assert not (root / "disk-12").exists()
    again = cli("unmount", "disk-12", "--root", root)
    assert again == (0, "nothing of disk-12 was attached\n", "")


def test_unmount_goes_by_the_id_under_which_a_file_is_attached(
    cli: CommandLine, kernel: MemoryKernel, root: Path
) -> None:
    """Not by the file's name."""
    cli("mount", "disk-12.img", "--root", root, "--medium", "m")
    assert cli("unmount", "disk-12.img", "--root", root).status == 0
    assert kernel.bound_numbers() == []


def test_unmount_takes_a_prefix(cli: CommandLine, kernel: MemoryKernel, root: Path) -> None:
    """As release does."""
    cli("mount", "disk-12.img", "--root", root, "--medium", "0123456789abcdef")
    assert cli("unmount", "01234567", "--root", root).status == 0
    assert kernel.bound_numbers() == []


def test_a_busy_mount_stays_and_is_named(cli: CommandLine, kernel: MemoryKernel, root: Path) -> None:
    """Status 75, and what to look at."""
    number = ntt_loops.attach_kept("disk-12.img").number
    kernel.mount(number, root / "disk-12", busy=True)
    done = cli("unmount", "disk-12", "--root", root, "--timeout", "0")
    assert done.status == 75
    assert f"mounted at {root / 'disk-12'}" in done.err
    assert kernel.bound_numbers() == [number]


def test_what_cannot_be_mounted_leaves_nothing(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """No file system, a folder in use, no such image: a sentence, status 1, no device, no folder."""
    root = tmp_path / "mnt"
    (root / "full").mkdir(parents=True)
    (root / "full" / "file").touch()
    kernel.format("536a933b4481f605fcd44615740a9025.img", "ext4")
    for arguments in (["disk-12.img"], ["536a933b4481f605fcd44615740a9025.img", "--medium", "full"], ["nosuch.img"]):
        done = cli("mount", *arguments, "--root", root)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("ntt-loops: ")
    assert kernel.bound_numbers() == []
    assert sorted(path.name for path in root.rglob("*")) == ["file", "full"]


def test_unmount_of_a_device_is_refused(cli: CommandLine, kernel: MemoryKernel) -> None:
    """It says what does that."""
    kernel.attach_foreign("disk-12.img")
    done = cli("unmount", "/dev/loop0")
    assert done.status == 1
    assert "ntt-loops release --unmount /dev/loop0" in done.err
