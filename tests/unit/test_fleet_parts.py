"""The parts of ``examples/fleet.py`` that need no devices: the journal, the name taken once, the proofs."""

from __future__ import annotations

import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from examples import fleet
from examples.demo import choose_machine
from examples.fleet_parts import Station, make_station, prove
from examples.fleet_parts.station import write
from examples.fleet_parts.task import Outcome, begin, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

    from examples.demo import Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The machine in memory."""
    with choose_machine(in_memory=True) as chosen:
        yield chosen


@pytest.fixture
def station(machine: Machine, tmp_path: Path) -> Station:
    """A station whose one medium was done after its worker was killed once."""
    made = make_station(machine, tmp_path, "host-1", 1, ["kept"])
    (medium,) = made.media
    made.killed = [4711]
    write(made.folder, medium.id, "published", 4712)
    with tarfile.open(made.folder / "archive" / f"{medium.id}.tar", "w") as archive:
        archive.add(medium.image, medium.image.name)
        archive.add(medium.image, "files/content")  # what the machine in memory has for a file
    medium.image.unlink()
    return made


def holds(machine: Machine, station: Station) -> bool:
    """Whether the proofs hold."""
    outcomes = [Outcome(medium.id, 4712, "published") for medium in station.media]
    return prove(machine, station.folder.parent, [station], outcomes)


def test_proofs_hold_for_a_medium_that_was_done_once(machine: Machine, station: Station) -> None:
    """What the next test spoils is good before."""
    assert holds(machine, station)


def publish_again(station: Station) -> None:
    """A second try that says it was the first."""
    write(station.folder, station.media[0].id, "published", 4713)


def lose_archive(station: Station) -> None:
    """The output is not there."""
    next((station.folder / "archive").iterdir()).unlink()


def change_archive(station: Station) -> None:
    """The output is of another image."""
    station.media[0].sha256 = "0" * 64


def keep_image(station: Station) -> None:
    """The image was not deleted."""
    station.media[0].image.touch()


def spare_worker(station: Station) -> None:
    """Nobody was killed."""
    station.killed.clear()


@pytest.mark.parametrize("spoil", [publish_again, lose_archive, change_archive, keep_image, spare_worker])
def test_a_proof_fails(spoil: Callable[[Station], None], machine: Machine, station: Station) -> None:
    """Each of them sees what it is there for."""
    spoil(station)
    assert not holds(machine, station)


def test_a_proof_fails_for_a_device(machine: Machine, station: Station) -> None:
    """One is left below the station's folder."""
    image = station.folder / "images" / "left.img"
    image.write_bytes(bytes(4096))
    machine.losetup(image)
    assert not holds(machine, station)


def test_two_tries_at_once_publish_one_archive(tmp_path: Path) -> None:
    """The second finds the name taken, and what the first one made is untouched."""
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    archive = tmp_path / "archive"
    assert publish(tmp_path / "first", archive)
    assert not publish(tmp_path / "second", archive)
    assert archive.read_text() == "first"


def test_each_try_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Two tries of a medium never write to the same file, and both are on the journal."""
    (tmp_path / "tries").mkdir()
    (one, first), (two, second) = begin(tmp_path, "536a"), begin(tmp_path, "536a")
    assert (one, two) == (1, 2)
    assert first != second
    assert Station("host", tmp_path, tmp_path).count("begins") == 2


def test_who_was_killed_is_not_killed_again(tmp_path: Path) -> None:
    """A process that waits is on the journal for ever, and to be killed once."""
    station = Station("host", tmp_path, tmp_path / "run")
    assert station.waiting() == []
    write(tmp_path, "536a", "waits", 4711)
    assert station.waiting() == [4711]
    station.killed.append(4711)
    assert station.waiting() == []


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--media", "none"], ["--kills", "-1"]])
def test_a_number_that_is_none_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said at once, before anything is made."""
    monkeypatch.setattr(sys, "argv", ["fleet.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        fleet.main()
    assert ended.value.code == 2
    assert f"argument {arguments[0]}: invalid" in capsys.readouterr().err


def test_without_devices_it_says_why(
    mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It plays nothing: workers are real processes."""
    monkeypatch.setattr(sys, "argv", ["fleet.py"])
    mocker.patch("examples.demo.why_not_real", return_value="real loop devices need root")
    assert fleet.main() == 1
    assert capsys.readouterr().err == "fleet.py: real loop devices need root\n"


def test_without_distributed_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra's name is in the error."""
    monkeypatch.setattr(sys, "argv", ["fleet.py"])
    for name in [name for name in sys.modules if name.startswith("ntt_loops.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("ntt_loops.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert fleet.main() == 1
    assert "pip install 'ntt-loops[dask]'" in capsys.readouterr().err
