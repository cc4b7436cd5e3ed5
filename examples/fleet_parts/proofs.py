"""A row a worker, and what must hold in the end, asked of others than the library."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

from examples.demo import headline
from examples.demo.proofs import proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from examples.demo import Machine, Medium
    from examples.fleet_parts.station import Station
    from examples.fleet_parts.task import Outcome

COLUMNS = ("media", "tries", "killed", "swept", "published", "second", "archives", "devices", "mounts")
_LEGEND = """\
tries:    begun; one that was killed is followed by another
swept:    devices that a killed worker had left, and the next one released before its first task
second:   tries that came to their end when another had published the archive; theirs was dropped
devices, mounts: left below the worker's folder"""


def print_table(machine: Machine, stations: Sequence[Station]) -> None:
    """Print a row a worker."""
    headline("Workers")
    print("worker".ljust(12) + "".join(name.rjust(11) for name in COLUMNS))
    for station in stations:
        print(station.name.ljust(12) + "".join(str(number).rjust(11) for number in row(machine, station)))
    print(_LEGEND)


def row(machine: Machine, station: Station) -> list[int]:
    """Return the numbers of a worker."""
    return [
        len(station.media),
        station.count("begins"),
        len(station.killed),
        station.swept,
        station.count("published"),
        station.count("came second"),
        len(list((station.folder / "archive").iterdir())),
        len(machine.devices_below(station.folder)),
        len(machine.mounts_below(station.folder)),
    ]


def prove(machine: Machine, folder: Path, stations: Sequence[Station], outcomes: Sequence[Outcome]) -> bool:
    """Print each proof with its outcome; return whether all hold."""
    left = machine.devices_below(folder) + machine.mounts_below(folder)
    every = [(station, medium) for station in stations for medium in station.media]
    kills = sum(len(station.killed) for station in stations)
    results = sorted(one.medium for one in outcomes)
    headline("Proofs")
    holds = [
        proof(f"{machine.witness()}: no device and no mount is left below {folder}", left),
        proof(
            f"link(2): {len(every)} media, each published once, with one result",
            [one.name for one in stations if one.count("published") != len(one.media)]
            + ([] if results == sorted(medium.id for _, medium in every) else ["the results"]),
        ),
        proof(
            "SHA-256: each archive holds the image and its files as they were made",
            [medium.id for station, medium in every if not is_whole(station, medium)],
        ),
        proof("no image is left", [medium.id for _, medium in every if medium.image.exists()]),
        proof(
            f"{kills} workers were killed in the middle of a medium, as was planned",
            [one.name for one in stations if len(one.killed) != len(one.stops)],
        ),
    ]
    return all(holds)


def is_whole(station: Station, medium: Medium) -> bool:
    """Whether the archive of a medium is complete."""
    path = station.folder / "archive" / f"{medium.id}.tar"
    if not path.exists():
        return False
    found = checksums(path)
    files = {name.removeprefix("files/"): one for name, one in found.items() if name.startswith("files/")}
    files.pop("SHA256SUMS", None)
    return found.get(medium.image.name) == medium.sha256 and files == dict(medium.files)


def checksums(path: Path) -> Mapping[str, str]:
    """Return the SHA-256 of each file in an archive, by its name."""
    with tarfile.open(path) as archive:
        members = [(one.name, archive.extractfile(one)) for one in archive if one.isfile()]
        return {name: hashlib.sha256(file.read()).hexdigest() for name, file in members if file is not None}
