"""A station stands for a host: a worker, its storage, its ledger, and the media whose images lie there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from examples.demo import make_medium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from examples.demo import Machine, Medium

#: Where a first try waits to be killed: with an image attached, mounted, or kept for a later stage.
Stop = Literal["attached", "mounted", "kept"]
STOPS: tuple[Stop, ...] = ("mounted", "kept", "attached")


@dataclass
class Station:
    """One of them, and what became of it.

    Attributes:
        name: That of the worker, and of the Dask resource that its media ask for.
        folder: Its storage: images, tries, archives, and the journal. No other station's worker looks there.
        run_dir: Its ledger.
        media: What is to be processed there.
        stops: Where the first try of a medium is killed, by its id.
        killed: The processes that were.
        swept: How many devices a worker that came after a killed one has released.
    """

    name: str
    folder: Path
    run_dir: Path
    media: list[Medium] = field(default_factory=list)
    stops: dict[str, Stop] = field(default_factory=dict)
    killed: list[int] = field(default_factory=list)
    swept: int = 0

    def count(self, event: str) -> int:
        """Return how many lines of the journal tell of that event."""
        return sum(one == event for _, one, _ in journal(self.folder))

    def waiting(self) -> list[int]:
        """Return the processes that wait to be killed, and were not yet."""
        pids = [pid for _, event, pid in journal(self.folder) if event == "waits"]
        return [pid for pid in pids if pid not in self.killed]


def make_station(machine: Machine, folder: Path, name: str, media: int, stops: list[Stop]) -> Station:
    """Make a station with so many media; the first ones are stopped."""
    station = Station(name, folder / name, folder / name / "run")
    for part in ("tries", "archive"):
        (station.folder / part).mkdir(parents=True)
    station.media = [make_medium(machine, station.folder, "plain") for _ in range(media)]
    station.stops = {medium.id: stop for medium, stop in zip(station.media, stops, strict=False)}
    return station


def write(folder: Path, medium: str, event: str, pid: int) -> None:
    """Add a line to the journal: one write, which no kill cuts in two."""
    with (folder / "journal").open("ab", buffering=0) as file:
        file.write(f"{medium} {pid} {event}\n".encode())


def journal(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Yield medium, event and process of each line."""
    path = folder / "journal"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        medium, pid, event = line.split(" ", 2)
        yield medium, event, int(pid)
