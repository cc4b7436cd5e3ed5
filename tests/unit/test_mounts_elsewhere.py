"""When the mounts of another namespace make the path of an image say nothing here."""

from __future__ import annotations

import pytest

from ntt_loops._kernel import mountinfo, processes
from ntt_loops._kernel.mountinfo import Line

ROOT = Line(1, b"/", "ext4", b"/dev/vda1", 1)
SERVER = Line(7, b"/data", "fuse.sshfs", b"host:", 1)


def _is_remote_elsewhere(patch: pytest.MonkeyPatch, own: list[Line], others: list[Line]) -> bool:
    """Ask with two namespaces, this process's and that of process 2."""
    patch.setattr(processes, "namespace", lambda _pid, _kind: 10)
    patch.setattr(mountinfo, "_namespaces", lambda _ours: {10: 1, 20: 2})
    patch.setattr(mountinfo, "read", lambda pid: own if pid == "self" else others)
    return mountinfo.is_remote_elsewhere()


@pytest.mark.parametrize("fstype", ["fuse", "fuse.bindfs", "fuseblk", "nfs4", "cifs", "9p"])
def test_a_server_that_only_another_namespace_has_counts(monkeypatch: pytest.MonkeyPatch, fstype: str) -> None:
    """A file server there, and not here: a path there may look like a local one here."""
    assert _is_remote_elsewhere(monkeypatch, [ROOT], [ROOT, Line(7, b"/data", fstype, b"host:", 1)])


@pytest.mark.parametrize("fstype", ["fusectl", "proc", "tmpfs", "sysfs"])
def test_what_is_no_server_does_not(monkeypatch: pytest.MonkeyPatch, fstype: str) -> None:
    """fusectl, which every namespace of systemd has, holds no images."""
    assert not _is_remote_elsewhere(monkeypatch, [ROOT], [ROOT, Line(7, b"/x", fstype, b"none", 1)])


def test_a_copy_of_our_mount_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted at the same place here is judged by that path."""
    assert not _is_remote_elsewhere(monkeypatch, [ROOT, SERVER], [ROOT, SERVER])


@pytest.mark.parametrize(
    "own",
    [
        [ROOT, SERVER, Line(8, b"/data", "tmpfs", b"none", 1)],
        [ROOT, SERVER, Line(8, b"/data/local", "xfs", b"/dev/vdb", 1)],
        [ROOT, Line(9, b"/data", "fuse.sshfs", b"other:", 1)],
        [ROOT, Line(7, b"/data2", "fuse.sshfs", b"host:", 1)],
    ],
    ids=["covered", "with a local mount below", "another server", "elsewhere"],
)
def test_a_path_that_leads_elsewhere_here_counts(monkeypatch: pytest.MonkeyPatch, own: list[Line]) -> None:
    """A mount that is covered here, or not that one, or not there: a path on it may be local here."""
    assert _is_remote_elsewhere(monkeypatch, own, [ROOT, SERVER])
