"""Other mount namespaces: what they have mounted neither slows nor stops a release, and their images are released."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from ntt_loops import Loops
from ntt_loops._kernel import guarded, mountinfo, processes
from tests.support import oracle
from tests.support.kernels import FencedKernel
from tests.support.media import is_bound, new_image
from tests.support.needs import require_tool
from tests.support.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ATTACH_THERE = """
mount -t tmpfs none "$2/mnt" && cp "$3" "$2/mnt/" && "$1" -c '
import sys
from ntt_loops import Loops
print(Loops(sys.argv[1] + "/run").attach_kept(sys.argv[2]))
' "$2" "$2/mnt/$4" && read -r end
"""


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own; no device but those below this test's folder is there."""
    return Loops(tmp_path / "run", FencedKernel(tmp_path))


@contextmanager
def _elsewhere(script: str, *arguments: object) -> Iterator[str]:
    """A shell in a mount namespace of its own, until the block ends; yields what it says first."""
    command = [require_tool("unshare"), "-m", "--propagation", "private", "sh", "-c", script, "sh", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        assert said, "the shell has failed"
        yield said
        process.communicate("\n")


def _no_child(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a child process was started for storage that is local")


def _see_only(patch: pytest.MonkeyPatch, pid: int) -> None:
    """Let this process's mount namespace and that of another one be all there are on the host."""
    spaces = {processes.namespace(one, "mnt"): one for one in ("self", pid)}
    patch.setattr(mountinfo, "_namespaces", lambda _: {space: one for space, one in spaces.items() if space})


def test_a_pseudo_file_system_elsewhere_is_no_remote_storage(
    loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fusectl, which every namespace of systemd has, makes no local image one that may hang."""
    (tmp_path / "mnt").mkdir()
    device = loops.attach_kept(new_image(tmp_path))
    with _elsewhere('mount -t fusectl none "$1" && echo $$ && read -r end', tmp_path / "mnt") as pid:
        _see_only(monkeypatch, int(pid))
        monkeypatch.setattr(guarded, "call", _no_child)
        loops.release_all(device.medium)
    assert not is_bound(device)


def test_a_file_server_that_is_mounted_here_too_says_nothing_of_local_images(
    loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace that has copied this one's mounts, a file server's too, makes no local image one that may hang.

    Every service with a private /tmp is such a namespace.
    """
    device = loops.attach_kept(new_image(tmp_path))
    with served(tmp_path) as server, _elsewhere("echo $$ && read -r end") as pid:
        assert server.folder.is_mount()
        _see_only(monkeypatch, int(pid))
        monkeypatch.setattr(guarded, "call", _no_child)
        loops.release_all(device.medium)
        assert not is_bound(device)


@pytest.mark.parametrize("by", ["release_all", "sweep"])
def test_an_image_of_another_namespace_is_released(loops: Loops, tmp_path: Path, by: str) -> None:
    """A kept device whose image lies where only another mount namespace can see it is released from here by its id.

    A sweep, which cannot see whether that image is there, keeps it.
    """
    (tmp_path / "mnt").mkdir()
    image = new_image(tmp_path)
    with _elsewhere(_ATTACH_THERE, sys.executable, tmp_path, image, image.name) as device:
        if by == "sweep":
            assert loops.sweep(system=True).released == ()
            assert oracle.is_bound(device)
        assert [one.device for one in loops.release_all(image.stem).released] == [device]
    assert oracle.bound_below(tmp_path) == []
