"""Sending media to the workers that have their images, killing workers, and telling how it goes."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from examples.demo import tell
from examples.fleet_parts.task import Order, Outcome, process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client, Worker

    from examples.fleet_parts.station import Station

_PAUSE_SECONDS = 0.05
_PATIENCE_SECONDS = 300.0


class Fleet:
    """The stations, and what is under way there."""

    def __init__(self, client: Client, stations: Sequence[Station]) -> None:
        #: Of distributed, as the futures below; most of their methods have no types.
        self._client: Any = client
        self._stations = stations
        self._dead: dict[str, int] = {}
        self._open: dict[str, Any] = {}
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        """Process all media, and wait until each killed worker has a successor."""
        for station in self._stations:
            for medium in station.media:
                order = Order(os.fspath(station.folder), medium.image.name, station.stops.get(medium.id))
                self._open[medium.id] = self._submit(station, order)
        self._total = len(self._open)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._open or self._dead:
            self._kill()
            self._welcome()
            self._collect()
            if time.monotonic() > deadline:
                message = f"not done in {_PATIENCE_SECONDS} seconds: {', '.join([*self._open, *self._dead])}"
                raise TimeoutError(message)
            time.sleep(_PAUSE_SECONDS)

    def _submit(self, station: Station, order: Order) -> Any:  # noqa: ANN401 - a future
        """Send it to the station: by its resource, which a worker that is started again has again.

        ``workers=`` would mean the address that the worker has now.
        """
        return self._client.submit(process, order, resources={station.name: 1}, pure=False)

    def _kill(self) -> None:
        """Kill whoever waits for it, once what the worker before it left is known."""
        for station in self._stations:
            for pid in station.waiting() if station.name not in self._dead else ():
                os.kill(pid, signal.SIGKILL)
                station.killed.append(pid)
                self._dead[station.name] = pid
                tell("killed", f"{station.name}: its worker, process {pid}, by SIGKILL in the middle of a medium")

    def _welcome(self) -> None:
        """See whether the successor of a killed worker is there, and what it released before its first task."""
        if not self._dead:
            return
        for name, start in self._client.run(start_of, on_error="ignore").values():
            if name in self._dead and start["pid"] != self._dead[name]:
                del self._dead[name]
                station = next(one for one in self._stations if one.name == name)
                station.swept += len(start["released"])
                left = "; ".join(start["left"])
                freed = ", ".join(start["released"]) or "nothing: the kernel had done it"
                tell("back", f"{name}: process {start['pid']}, which released {freed}{left and '; left: '}{left}")

    def _collect(self) -> None:
        for medium, future in list(self._open.items()):
            if future.done():
                outcome: Outcome = future.result()
                del self._open[medium]
                self.outcomes.append(outcome)
                tell("done", f"{len(self.outcomes)} of {self._total}: {medium}, {outcome.event} by {outcome.pid}")


def start_of(dask_worker: Worker) -> tuple[str, dict[str, Any]]:
    """Return, on a worker, its name and what its start came to."""
    plugin: Any = dask_worker.plugins["ntt-loops"]
    return str(dask_worker.name), plugin.start.to_dict()
