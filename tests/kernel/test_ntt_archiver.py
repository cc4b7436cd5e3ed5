"""``examples/ntt/archiver.py``: an image goes only when its archive is proved and no device holds it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from pathlib import Path

import pytest

from examples.ntt import archiver
from tests.support import ntt, oracle
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_hash
from tests.support.needs import require_tool
from tests.support.rig import mounted

FILES = {"letters/1983": b"Dear reader" * 1000}
DONE, ERROR, BUSY, INTERRUPTED = 0, 1, 75, 130


@pytest.fixture(autouse=True)
def _tools() -> None:
    for name in ("tar", "zstd", "sha256sum", "setpriv", "mkfs.ext4"):
        require_tool(name)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a hash for a name; the folder for its archive is beside its own."""
    for name in ("img", "archives"):
        (tmp_path / name).mkdir()
    return make_image(tmp_path / "img" / f"{new_hash()}.img", files=FILES)


def archive_of(image: Path) -> Path:
    """Return what the archive is called."""
    return image.parents[1] / "archives" / f"{image.stem}.tar.zst"


def arguments(image: Path, *more: str) -> list[str]:
    """Return the command line for an image."""
    return [image.stem, "--images", str(image.parent), "--archives", str(archive_of(image).parent), *more]


def packed_sha256(image: Path, folder: Path) -> str:
    """Return the SHA-256 of the image in the archive."""
    oracle.run("tar", "-I", "zstd", "-C", folder, "-xf", archive_of(image))
    return oracle.sha256(folder / image.name)


def test_it_packs_and_deletes_and_leaves_no_device(image: Path, tmp_path: Path) -> None:
    """Strangers' devices, mounted ones too, go; the archive holds the image as it was; the image is gone."""
    before = oracle.sha256(image)
    devices = [by_losetup(image) for _ in range(3)]
    with mounted(devices[0], tmp_path / "mnt", "-o", "ro"):
        done = ntt.run("archiver.py", *arguments(image))
    assert (done.returncode, done.stdout) == (DONE, ""), done.stderr
    assert not any(map(is_bound, devices))
    assert not image.exists()
    assert packed_sha256(image, tmp_path) == before
    assert [path.name for path in archive_of(image).parent.iterdir()] == [archive_of(image).name]


def test_again_it_is_done(image: Path) -> None:
    """With the archive there and the image gone, another run finds nothing to do."""
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE
    content = archive_of(image).read_bytes()
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE
    assert archive_of(image).read_bytes() == content


@pytest.mark.parametrize("name", ["", "letters", "a" * 15, "a" * 65, "A" * 32, f"../img/{'a' * 32}", f"{'a' * 32}\n"])
def test_a_name_that_is_no_hash_is_refused(name: str, tmp_path: Path) -> None:
    """It ends with 1 and a sentence, and no path is made of it."""
    done = ntt.run("archiver.py", name, "--images", tmp_path, "--archives", tmp_path)
    assert done.returncode == ERROR
    assert "is no hash" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_neither_image_nor_archive_is_an_error(image: Path) -> None:
    """A hash that nothing goes by is not taken for one that is done."""
    image.unlink()
    done = ntt.run("archiver.py", *arguments(image))
    assert done.returncode == ERROR
    assert "there is neither" in done.stderr


def test_a_second_run_goes_on_at_the_release(image: Path, tmp_path: Path) -> None:
    """With the archive there and a device in use: 75, the holder's name, the image stays; free again: it goes."""
    shutil.copy2(image, tmp_path / "copy")
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE
    (tmp_path / "copy").rename(image)
    device = by_losetup(image)
    with reader(device) as process:
        done = ntt.run("archiver.py", *arguments(image, "--timeout", "0.2"))
        assert done.returncode == BUSY
        assert f"pid {process.pid}" in done.stderr
        assert image.exists()
        assert is_bound(device)
    done = ntt.run("archiver.py", *arguments(image))
    assert done.returncode == DONE, done.stderr
    assert not image.exists()
    assert not is_bound(device)


def test_a_busy_device_is_found_before_anything_is_packed(image: Path) -> None:
    """No archive is made, not even an unfinished one."""
    with reader(by_losetup(image)):
        assert ntt.run("archiver.py", *arguments(image, "--timeout", "0.2")).returncode == BUSY
    assert list(archive_of(image).parent.iterdir()) == []
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE


def test_what_slips_in_before_the_unlink_is_released(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that somebody attaches just before the image is deleted goes all the same."""
    unlink = Path.unlink
    devices = []

    def attach_and_unlink(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as pathlib has it
        if path == image:
            devices.append(by_losetup(image))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", attach_and_unlink)
    archiver.archive(image, archive_of(image), timeout=10)
    assert len(devices) == 1
    assert not is_bound(devices[0])
    assert oracle.bound_to_path(image) == []


def test_what_slips_in_while_it_packs_is_released(image: Path, tmp_path: Path) -> None:
    """A device that was attached after the first release goes before the image does."""
    attach = f'losetup -f --show -r -P "{image}" >>"{tmp_path}/devices"'
    environment = ntt.replaced(tmp_path, "zstd", attach)
    done = ntt.run("archiver.py", *arguments(image), environment=environment)
    assert done.returncode == DONE, done.stderr
    assert (tmp_path / "devices").read_text().startswith("/dev/loop")
    assert oracle.bound_to_path(image) == []


def test_a_full_disk_leaves_the_image(image: Path, tmp_path: Path) -> None:
    """It ends with 1 and the disk's own words; the space of the unfinished archive comes back."""
    image.write_bytes(os.urandom(2**21))
    with mounted("none", archive_of(image).parent, "-t", "tmpfs", "-o", "size=1m"):
        done = ntt.run("archiver.py", *arguments(image))
        assert list((tmp_path / "archives").iterdir()) == []
    assert done.returncode == ERROR
    assert "No space left on device" in done.stderr
    assert image.exists()


@pytest.mark.parametrize("archive", ["garbage", "cut", "another image"])
def test_a_damaged_archive_leaves_the_image(image: Path, archive: str, tmp_path: Path) -> None:
    """An archive that is there and is no proof is neither believed nor replaced."""
    shutil.copy2(image, tmp_path / "copy")
    if archive == "another image":
        with image.open("ab") as file:
            file.write(bytes(512))
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE
    if archive != "another image":
        content = archive_of(image).read_bytes()
        archive_of(image).write_bytes(content[:-40] + (b"x" * 40 if archive == "garbage" else b""))
    (tmp_path / "copy").rename(image)
    before = archive_of(image).read_bytes()
    done = ntt.run("archiver.py", *arguments(image))
    assert done.returncode == ERROR
    assert f"Error: {archive_of(image)} " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert image.exists()
    assert archive_of(image).read_bytes() == before


def test_an_archive_that_is_damaged_as_it_is_written_gets_no_name(image: Path, tmp_path: Path) -> None:
    """What tar and zstd wrote is proved before it has the archive's name."""
    damage = f'case "$*" in *-t*) printf x >>"{archive_of(image)}.unfinished";; esac'
    done = ntt.run("archiver.py", *arguments(image), environment=ntt.replaced(tmp_path, "zstd", damage))
    assert done.returncode == ERROR
    assert image.exists()
    assert list(archive_of(image).parent.iterdir()) == []


def test_an_image_that_vanishes_is_an_error(image: Path, tmp_path: Path) -> None:
    """Between two steps the image goes: no archive of it is left that nobody could prove."""
    vanish = f'case "$*" in *-t*) rm "{image}";; esac'
    done = ntt.run("archiver.py", *arguments(image), environment=ntt.replaced(tmp_path, "zstd", vanish))
    assert done.returncode == ERROR
    assert f"{image}" in done.stderr
    assert list(archive_of(image).parent.iterdir()) == []


def test_an_image_that_was_replaced_is_not_deleted(image: Path, tmp_path: Path) -> None:
    """The medium is read anew while its old image is packed: the new one stays."""
    anew = f'cp "{image}" "{image}.new" && mv "{image}.new" "{image}"'
    done = ntt.run("archiver.py", *arguments(image), environment=ntt.replaced(tmp_path, "sha256sum", anew))
    assert done.returncode == ERROR
    assert "is not the file any more" in done.stderr
    assert image.exists()
    assert archive_of(image).exists()


def test_two_at_once_are_one_too_many(image: Path) -> None:
    """An archiver that finds another at work ends with 75 and touches nothing."""
    with image.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = ntt.run("archiver.py", *arguments(image))
    assert done.returncode == BUSY
    assert "another process is at work" in done.stderr
    assert image.exists()
    assert list(archive_of(image).parent.iterdir()) == []
    assert ntt.run("archiver.py", *arguments(image)).returncode == DONE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_while_it_packs(image: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM leave the image and nothing else; after SIGKILL tar is gone too, and the next run goes on."""
    with ntt.start("archiver.py", *arguments(image), environment=ntt.stopped_at(tmp_path, "tar", "-cf")) as process:
        ntt.wait_for(tmp_path / "stopped")
        process.send_signal(number)
        process.communicate(timeout=300)
    tar = Path("/proc", (tmp_path / "stopped").read_text().strip())
    oracle.wait_until(lambda: not tar.exists(), "tar is gone")
    if number != signal.SIGKILL:
        assert process.returncode == INTERRUPTED
        assert list(archive_of(image).parent.iterdir()) == []
    assert image.exists()
    done = ntt.run("archiver.py", *arguments(image))
    assert done.returncode == DONE, done.stderr
    assert not image.exists()
    assert [path.name for path in archive_of(image).parent.iterdir()] == [archive_of(image).name]
