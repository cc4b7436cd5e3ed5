"""The bash twins of the NTT programs, ``examples/ntt/bash``, on real images."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import ntt, ntt_media, oracle
from tests.support.holding import reader
from tests.support.media import by_losetup, is_bound
from tests.support.ntt_media import BUSY, DONE, ERROR, FILES, INTERRUPTED

if TYPE_CHECKING:
    import subprocess

    from tests.support.ntt_place import Place


@pytest.fixture(autouse=True)
def _environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("NTT_ROOT", str(place.root))
    monkeypatch.setenv("NTT_TIMEOUT", "0.5")
    for name, folder in (("IMAGES", "img"), ("ARCHIVES", "archives"), ("WORK", "work")):
        monkeypatch.setenv(f"NTT_{name}", str(place.folder / folder))


def twin(name: str, *arguments: str | os.PathLike[str], **options: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    return ntt.run(f"bash/{name}.sh", *arguments, **options)


def archive_of(place: Place, image: Path) -> Path:
    """Return what the archive is called."""
    return place.folder / "archives" / f"{image.stem}.tar.zst"


@pytest.mark.parametrize("name", ["mount-helper", "cleanup-mounts", "archiver", "orchestrator"])
@pytest.mark.parametrize("word", ["x" * 32, "a" * 15, "A" * 32, "../" + "a" * 32, "a" * 32 + "\n"])
def test_a_name_that_is_no_hash_is_refused(name: str, word: str, place: Place) -> None:
    """It ends with 1 and one line, and nothing is made."""
    before = sorted(place.folder.rglob("*"))
    done = twin(name, *(["mount", word, "image"] if name == "mount-helper" else [word]))
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert done.stderr.startswith("usage: ")
    assert sorted(place.folder.rglob("*")) == before


def test_mount_helper_mounts_and_unmounts(place: Place) -> None:
    """Again and again, with one device; status says where, or ends with 1."""
    image = ntt_media.two_partitions(place.images)
    before = oracle.sha256(image)
    assert twin("mount-helper", "status", image.stem).returncode == ERROR
    for _ in range(2):
        done = twin("mount-helper", "mount", image.stem, image)
        assert done.returncode == DONE, done.stderr
        assert json.loads(done.stdout)["layout"] == "multi"
    assert len(oracle.bound_devices(image)) == 1
    done = twin("mount-helper", "status", image.stem)
    assert (done.returncode, len(done.stdout.splitlines())) == (DONE, 2)
    for _ in range(2):
        assert twin("mount-helper", "unmount", image.stem).returncode == DONE
    assert twin("mount-helper", "status", image.stem).returncode == ERROR
    ntt_media.assert_nothing_of(image, place.root)
    assert oracle.sha256(image) == before


def test_cleanup_mounts_takes_what_is_not_in_use(place: Place) -> None:
    """One is in use: 75 and its user; the other goes, and so does what a deleted image left."""
    used, other, orphan = (ntt_media.whole_disk(place.images) for _ in range(3))
    for image in (used, other):
        assert twin("mount-helper", "mount", image.stem, image).returncode == DONE
    device = by_losetup(orphan)
    orphan.unlink()
    with ntt_media.working_in(place.root / used.stem):
        done = twin("cleanup-mounts", used.stem, other.stem)
        assert done.returncode == BUSY
        assert f"(medium {used.stem}) is still in use" in done.stderr
    assert ntt_media.mounts_below(place.root) == [place.root / used.stem]
    assert not is_bound(device)
    assert twin("cleanup-mounts", used.stem).returncode == DONE
    ntt_media.assert_nothing_of(used, place.root)


def test_archiver_packs_proves_and_deletes(place: Place) -> None:
    """A device in use: 75, and the image stays; free: the image is in the archive and gone; again: 0."""
    image = ntt_media.whole_disk(place.images)
    before = oracle.sha256(image)
    devices = [by_losetup(image) for _ in range(2)]
    with reader(devices[0]) as process:
        done = twin("archiver", image.stem)
        assert done.returncode == BUSY
        assert f"pid {process.pid}" in done.stderr
    assert image.exists()
    for _ in range(2):
        done = twin("archiver", image.stem)
        assert done.returncode == DONE, done.stderr
    assert not image.exists()
    assert not any(map(is_bound, devices))
    oracle.run("tar", "-I", "zstd", "-C", place.folder, "-xf", archive_of(place, image))
    assert oracle.sha256(place.folder / image.name) == before
    assert list(archive_of(place, image).parent.iterdir()) == [archive_of(place, image)]


@pytest.mark.parametrize("damage", ["written", "found"])
def test_archiver_leaves_the_image_without_proof(place: Place, damage: str) -> None:
    """Of an archive that is damaged as it is written nothing is left; one that is found damaged stays as it is."""
    image = ntt_media.whole_disk(place.images)
    archive = archive_of(place, image)
    if damage == "found":
        archive.write_bytes(b"no archive")
    spoil = f'case "$*" in *-t*) printf x >>"{archive}.unfinished";; esac' if damage == "written" else ""
    done = twin("archiver", image.stem, environment=ntt.replaced(place.folder, "zstd", spoil))
    assert done.returncode == ERROR
    assert image.exists()
    assert [path.name for path in archive.parent.iterdir()] == ([archive.name] if damage == "found" else [])


def test_orchestrator_takes_all_media(place: Place) -> None:
    """One cannot be mounted: it ends with 1, the others are done; again, only that one is tried."""
    single, multi, bad = (
        make(place.images) for make in (ntt_media.whole_disk, ntt_media.two_partitions, ntt_media.garbage)
    )
    done = twin("orchestrator")
    assert done.returncode == ERROR
    work = place.folder / "work"
    assert (work / single.stem / "note").read_bytes() == FILES["note"]
    assert (work / multi.stem / "p1" / "note").read_bytes() == FILES["note"]
    assert list(place.images.iterdir()) == [bad]
    assert archive_of(place, single).exists()
    assert archive_of(place, multi).exists()
    for image in (single, multi, bad):
        ntt_media.assert_nothing_of(image, place.root)
    assert twin("orchestrator").returncode == ERROR


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(("program", "word"), [("cp", "-a"), ("tar", "-cf")])
def test_orchestrator_goes_on_after_its_end(place: Place, program: str, word: str, number: signal.Signals) -> None:
    """Killed or interrupted in the copy and in the archiver; run again, nothing is left."""
    image = ntt_media.two_partitions(place.images)
    environment = ntt.stopped_at(place.folder, program, word)
    with ntt.start("bash/orchestrator.sh", image.stem, environment=environment) as process:
        ntt.wait_for(place.folder / "stopped")
        os.killpg(process.pid, number)
        process.communicate(timeout=300)
    if number == signal.SIGINT:
        assert process.returncode in (INTERRUPTED, -signal.SIGINT)
        ntt_media.assert_nothing_of(image, place.root)
    done = twin("orchestrator")
    assert done.returncode == DONE, done.stderr
    assert not image.exists()
    ntt_media.assert_nothing_of(image, place.root)
    assert list(archive_of(place, image).parent.iterdir()) == [archive_of(place, image)]
