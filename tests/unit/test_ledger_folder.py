"""The ledger folder: made for its user alone, and not believed where others can write to it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ntt_loops import LedgerError, Loops
from ntt_loops._backoff import Deadline
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._ledger import Ledger, Record
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_mock import MockerFixture

NOW = Deadline(0.0)
NOBODY = 65534
RECORD = Record(
    number=1,
    diskseq=41,
    nonce="07be1a",
    image=b"/data/536a.img",
    dev=2049,
    inode=131,
    offset_bytes=0,
    size_limit_bytes=0,
    lifetime="kept",
    owner=None,
    time=1.75e9,
    uptime=4242.5,
)

#: Every way into the folder.
WAYS: dict[str, Callable[[Ledger], object]] = {
    "locked": lambda ledger: ledger.locked("536a", NOW).close(),
    "registry": lambda ledger: ledger.registry(),
    "media": lambda ledger: ledger.media(),
}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Where the folder is to be."""
    return tmp_path / "run"


@pytest.fixture
def ledger(run_dir: Path) -> Ledger:
    """A ledger whose folder is not made yet."""
    return Ledger(run_dir, MemoryKernel())


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Callable[[Ledger], object]:
    """Each of the ways in turn."""
    found: Callable[[Ledger], object] = request.param
    return found


def put(ledger: Ledger, *media: str) -> None:
    """Put an attachment of each medium on record."""
    for medium in media:
        with ledger.locked(medium, NOW) as book:
            book.add(RECORD)


def refused(ledger: Ledger, way: Callable[[Ledger], object]) -> LedgerError:
    """Expect an untrusted folder, and nothing done to it."""
    before = open_numbers()
    with pytest.raises(LedgerError, match="nothing in it is believed") as caught:
        way(ledger)
    assert open_numbers() == before
    assert (caught.value.errno, caught.value.path) == (errno.EPERM, ledger.run_dir)
    return caught.value


def test_the_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """A folder that is missing is made with mode 0700 whatever the umask, its parents too."""
    folder = tmp_path / "missing" / "run"
    before = os.umask(0)
    try:
        put(Ledger(folder, MemoryKernel()), "536a")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o7777 == 0o700


def test_a_look_does_not_make_the_folder(ledger: Ledger) -> None:
    """Without a folder there is no registry, no medium and no record, and none is made by asking."""
    assert (ledger.registry(), ledger.media(), ledger.peek("536a")) == (None, [], ())
    assert not ledger.run_dir.exists()


@pytest.mark.kernel
def test_another_users_folder_is_refused(ledger: Ledger, run_dir: Path, way: Callable[[Ledger], object]) -> None:
    """A folder that somebody else owns is refused, with both uids."""
    run_dir.mkdir(mode=0o700)
    os.chown(run_dir, NOBODY, -1)
    assert f"uid {NOBODY}, not to uid {os.geteuid()}" in str(refused(ledger, way))


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(
    ledger: Ledger, run_dir: Path, way: Callable[[Ledger], object], mode: int
) -> None:
    """Writable by the group or by all, sticky or not, it is refused, and its mode is not repaired behind its back."""
    run_dir.mkdir()
    run_dir.chmod(mode)
    assert "can be written by others" in str(refused(ledger, way))
    assert run_dir.stat().st_mode & 0o7777 == mode


def test_a_folder_that_others_can_read_is_used(ledger: Ledger, run_dir: Path) -> None:
    """Who can read cannot forge: 0755 is no reason to refuse."""
    run_dir.mkdir()
    run_dir.chmod(0o755)
    put(ledger, "536a")
    assert ledger.media() == ["536a"]


@pytest.mark.parametrize("kind", ["symlink", "dangling", "file", "fifo"])
def test_what_is_no_folder_is_refused(
    ledger: Ledger, run_dir: Path, tmp_path: Path, way: Callable[[Ledger], object], kind: str
) -> None:
    """A symlink, even to a good folder, a file and a fifo are no folder, and nothing appears behind them."""
    target = tmp_path / "target"
    if kind == "file":
        run_dir.write_bytes(b"")
    elif kind == "fifo":
        os.mkfifo(run_dir)
    else:
        run_dir.symlink_to(target)
    if kind == "symlink":
        target.mkdir(mode=0o700)
    assert "is not a folder" in str(refused(ledger, way))
    assert not target.exists() or list(target.iterdir()) == []


@pytest.mark.parametrize("below", ["a-file/run", "loop/run", "n" * 300], ids=lambda below: below[:10])
def test_a_folder_that_cannot_be_reached_is_a_ledger_error(
    tmp_path: Path, way: Callable[[Ledger], object], below: str
) -> None:
    """Below a file, behind a ring of symlinks or with an impossible name, it is LedgerError, not a bare OSError."""
    (tmp_path / "a-file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LedgerError):
        way(Ledger(tmp_path / below, MemoryKernel()))


def test_a_folder_that_cannot_be_made_is_a_ledger_error(tmp_path: Path) -> None:
    """What mkdir(2) refuses is LedgerError with its errno."""
    with pytest.raises(LedgerError, match="cannot be made") as caught:
        Ledger(f"{tmp_path}/missing/{'n' * 300}/run", MemoryKernel()).locked("536a", NOW)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_records_in_a_refused_folder_are_not_believed(ledger: Ledger, run_dir: Path) -> None:
    """A listing without the lock takes nothing from a folder that others can write to."""
    put(ledger, "536a")
    run_dir.chmod(0o777)
    found: Sequence[Record] = ()
    with suppress(LedgerError):
        found = ledger.peek("536a")
    assert found == ()


def test_a_listing_of_one_medium_refuses_the_folder_too(ledger: Ledger, run_dir: Path) -> None:
    """list_media with an id says that the folder is not to be trusted, as it does without one."""
    put(ledger, "536a")
    run_dir.chmod(0o777)
    loops = Loops(run_dir, MemoryKernel())
    with pytest.raises(LedgerError):
        loops.list_media()
    with pytest.raises(LedgerError):
        loops.list_media("536a")


def test_every_medium_of_the_folder_is_listed(ledger: Ledger) -> None:
    """Plain, encoded and shortened names all lead back to their media; other files there are nobody's."""
    media = sorted(["536a", "Zip disk #12", "a\nb", "x" * 250, " " * 90, os.fsdecode(b"\xff\xfe")])
    put(ledger, *media)
    for name in ("readme", "x.jsonl.aside-1", "x.jsonl.new", "%41.jsonl", "y" * 160 + "%%" + "0" * 64 + ".jsonl"):
        (ledger.run_dir / name).write_bytes(b"")
    assert sorted(ledger.media()) == media


def test_a_shortened_name_is_believed_only_where_its_header_fits(ledger: Ledger) -> None:
    """A file renamed to another digest does not speak for the medium in its header."""
    put(ledger, "x" * 250)
    (path,) = ledger.run_dir.iterdir()
    path.rename(path.with_name("x" * 160 + "%%" + "0" * 64 + ".jsonl"))
    assert ledger.media() == []


def test_a_file_name_of_any_bytes_does_not_stop_the_listing(ledger: Ledger) -> None:
    """A stray file whose name is no UTF-8 is passed over."""
    put(ledger, "536a")
    (ledger.run_dir / os.fsdecode(b"stray-\xff.jsonl")).write_bytes(b"")
    assert ledger.media() == ["536a"]


def test_a_folder_that_goes_during_a_look_has_no_media(ledger: Ledger, mocker: MockerFixture) -> None:
    """Removed between the check and the listing, as at the end of a test run, it is as if it had not been there."""
    put(ledger, "536a")
    mocker.patch("ntt_loops._ledger.folder.os.listdir", side_effect=FileNotFoundError(2, "No such file or directory"))
    assert ledger.media() == []


def test_the_registry_is_the_folders_and_the_boots(tmp_path: Path) -> None:
    """It is stable, and differs between two folders and between two boots."""
    kernel = MemoryKernel()
    one, other = Ledger(tmp_path / "one", kernel), Ledger(tmp_path / "other", kernel)
    put(one, "536a")
    put(other, "536a")
    first = one.registry()
    assert first is not None
    assert first == one.registry() != other.registry()
    kernel.reboot()
    assert one.registry() != first
