"""What the NTT programs are made of, without a device: copying, the state of a medium, locks, progress."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from examples.ntt.common import Exit, copying, exit_of, worst
from examples.ntt.common.copying import Copier, copy_tree, sum_line
from examples.ntt.common.files import locked, write_whole
from examples.ntt.common.progress import Bars, Lines, choose_progress
from examples.ntt.common.state import State
from ntt_loops import DeviceBusyError, MountError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

FILES = {f"folder {number % 3}/{number}": os.urandom(number * 999) for number in range(20)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with files."""
    for name, content in FILES.items():
        file = tmp_path / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "source"


def copy(source: Path) -> dict[str, str]:
    """Copy it to beside it."""
    return copy_tree(
        source, source.with_name("target"), source.with_name("scratch"), 3, partial(Lines().copying, "disk")
    )


def copied(source: Path) -> dict[str, bytes]:
    """Return what is in the copy."""
    target = source.with_name("target")
    return {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}


def test_all_files_are_copied_with_their_checksums(source: Path) -> None:
    """Content and SHA-256 are those of the source, and nothing else is left."""
    assert copy(source) == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert copied(source) == FILES
    assert not source.with_name("scratch").exists()


def test_links_and_pipes_of_a_medium_are_not_opened(source: Path, tmp_path: Path) -> None:
    """A link leads to a file of this machine, and reading a pipe would never end."""
    (tmp_path / "secret").write_bytes(b"secret")
    (source / "link").symlink_to(tmp_path / "secret")
    (source / "folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(source / "pipe")
    copy(source)
    assert copied(source) == FILES


def test_a_second_copy_writes_only_what_is_missing(source: Path) -> None:
    """What is whole stays the file it is; what is gone, or has another size, is copied."""
    copy(source)
    target = source.with_name("target")
    kept, cut, gone = (target / name for name in list(FILES)[-3:])
    inode = kept.stat().st_ino
    os.truncate(cut, 5)
    gone.unlink()
    copy(source)
    assert copied(source) == FILES
    assert kept.stat().st_ino == inode


def test_what_a_killed_copy_left_goes(source: Path) -> None:
    """Half a file of another process is no file of the copy."""
    scratch = source.with_name("scratch")
    scratch.mkdir()
    (scratch / "4711").write_bytes(b"half")
    copy(source)
    assert not scratch.exists()
    assert copied(source) == FILES


def test_a_file_that_cannot_be_read_does_not_stop_the_others(source: Path, mocker: MockerFixture) -> None:
    """All others are copied, and the error names one and says how many."""
    bad = list(FILES)[7]
    write = Copier._write

    def fail_once(self: Copier, file: Path, unfinished: Path) -> str:
        if file == source / bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(self, file, unfinished)

    mocker.patch.object(Copier, "_write", fail_once)
    with pytest.raises(OSError, match=rf"^1 of 20 files were not copied: {re.escape(bad)}: Input/output error$"):
        copy(source)
    assert copied(source).keys() == FILES.keys() - {bad}


def test_a_full_disk_stops_all(source: Path, mocker: MockerFixture) -> None:
    """There is no sense in trying the rest."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write = mocker.patch.object(Copier, "_write", side_effect=error)
    with pytest.raises(OSError, match="No space left"):
        copy(source)
    assert write.call_count <= 3
    assert not source.with_name("scratch").exists()


def test_a_copy_that_differs_is_not_taken(source: Path, mocker: MockerFixture) -> None:
    """What is read back must have the checksum of what was read."""
    mocker.patch.object(copying, "sha256", return_value="0")
    with pytest.raises(OSError, match=r"20 of 20 files were not copied: .* differs from it"):
        copy(source)
    assert copied(source) == {}


@pytest.mark.parametrize(
    "name", ["plain", "new\nline", "back\\slash", "both\\\n", "re\rturn", os.fsdecode(b"byte \xff")]
)
def test_checksums_are_lines_of_sha256sum(name: str, tmp_path: Path) -> None:
    """``sha256sum -c`` finds every file, whatever its name is."""
    (tmp_path / name).write_bytes(b"content")
    line = sum_line(hashlib.sha256(b"content").hexdigest(), name)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet"],
        cwd=tmp_path,
        input=os.fsencode(line),
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    path = tmp_path / "image"
    path.write_bytes(b"image")
    return path


def test_a_state_is_read_again(image: Path, tmp_path: Path) -> None:
    """What is done, in order, and what failed, until that stage is done."""
    state = State(tmp_path / "state", image)
    state.at("mount")
    state.finish(["p1"])
    state.at("copy")
    state.fail(OSError("no luck"))
    again = State(tmp_path / "state", image)
    assert (again.done, again.facts) == (["mount"], {"mount": ["p1"], "error": "copy: no luck"})
    again.at("copy")
    again.finish("12 files")
    again = State(tmp_path / "state", image)
    assert (again.done, again.facts) == (["mount", "copy"], {"mount": ["p1"], "copy": "12 files"})


def test_another_image_of_the_medium_begins_anew(image: Path, tmp_path: Path) -> None:
    """The medium was read again: nothing is done with that image."""
    state = State(tmp_path / "state", image)
    state.at("mount")
    state.finish(None)
    image.rename(tmp_path / "old")
    image.write_bytes(b"image")
    assert State(tmp_path / "state", image).done == []


def test_an_image_that_is_archived_is_still_known(image: Path, tmp_path: Path) -> None:
    """The image is deleted before that is noted: the stages before are done."""
    state = State(tmp_path / "state", image)
    state.at("mount")
    state.finish(None)
    image.unlink()
    again = State(tmp_path / "state", image)
    assert again.done == ["mount"]
    again.at("archive")
    again.finish(None)
    assert State(tmp_path / "state", image).done == ["mount", "archive"]


def test_of_an_image_that_never_was_nothing_is_noted(tmp_path: Path) -> None:
    """A mistyped hash is no medium."""
    state = State(tmp_path / "state", tmp_path / "image")
    state.at("mount")
    state.fail(OSError("no such file"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, mocker: MockerFixture) -> None:
    """A write that fails at its end leaves the old content."""
    write_whole(tmp_path / "file", b"old")
    mocker.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "full"))
    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_lock_is_one_process_s(image: Path) -> None:
    """Who comes second learns which file it is; after the first it is free."""
    with locked(image, "rb"), pytest.raises(BlockingIOError, match=f"at work on {re.escape(str(image))}$"):
        locked(image, "rb").__enter__()
    with locked(image, "rb") as file:
        assert file.read() == b"image"


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], Exit.DONE),
        ([Exit.DONE, Exit.BUSY], Exit.BUSY),
        ([Exit.BUSY, Exit.ERROR, Exit.DONE], Exit.ERROR),
    ],
)
def test_worst_of_several_is_the_exit_status(results: list[Exit], expected: Exit) -> None:
    """An error says more than a device in use."""
    assert worst(results) == expected


def test_only_what_is_in_use_is_busy() -> None:
    """75 means: try again later."""
    assert exit_of(DeviceBusyError("in use")) == exit_of(BlockingIOError()) == Exit.BUSY
    assert exit_of(MountError("no")) == exit_of(OSError(errno.EBUSY, "busy")) == Exit.ERROR


def test_lines_are_said_now_and_then(capsys: pytest.CaptureFixture[str], mocker: MockerFixture) -> None:
    """One at the start, and one for each ten seconds that were more than that."""
    mocker.patch("examples.ntt.common.progress.time").monotonic.side_effect = [0.0, 9.0, 11.0, 11.0, 12.0]
    with Lines().copying("disk", 2, 300) as advance:
        for _ in range(3):
            advance(100)
    assert capsys.readouterr().err.splitlines() == ["disk: 2 files, 300 bytes", "disk: 200 of 300 bytes"]


def test_bars_are_drawn_on_a_terminal(capsys: pytest.CaptureFixture[str], mocker: MockerFixture) -> None:
    """With rich a terminal sees how much is done; a file sees lines."""
    assert isinstance(choose_progress(), Lines)
    mocker.patch("sys.stderr.isatty", return_value=True)
    bars = choose_progress()
    assert isinstance(bars, Bars)
    with bars.copying("disk", 2, 300) as advance:
        advance(300)
    assert "disk: 2 files" in capsys.readouterr().err
