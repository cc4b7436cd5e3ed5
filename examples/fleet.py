#!/usr/bin/env python3
"""The pipeline of examples/pipeline.py on several workers, some of which are killed: each medium is done exactly once.

::

    .venv/bin/python examples/fleet.py                              as root; needs the extra dask
    .venv/bin/python examples/fleet.py --workers 2 --media 1        less of it

Each worker is a process with a ledger and a storage of its own, as it would be on a host of its own; a medium is sent
to the worker that has its image. ``fleet_parts/task.py`` is what to copy. docs/fleet.md says how it is on real hosts.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A script finds what lies beside it only; the folder goes by its name from the root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples import demo

if TYPE_CHECKING:
    from examples.fleet_parts import Station


def make_stations(machine: demo.Machine, folder: Path, workers: int, media: int, kills: int) -> list[Station]:
    """Make the stations and their images."""
    from examples.fleet_parts import make_station  # noqa: PLC0415 - it needs the extra
    from examples.fleet_parts.station import STOPS  # noqa: PLC0415 - the same

    stations = []
    for number in range(workers):
        demo.headline(f"Images of host-{number + 1}")
        stops = [STOPS[(number + kill) % len(STOPS)] for kill in range(kills)]
        stations.append(make_station(machine, folder, f"host-{number + 1}", media, stops))
    return stations


def run_all(machine: demo.Machine, folder: Path, stations: list[Station]) -> bool:
    """Process all media, print the table; return whether the proofs hold."""
    from examples.fleet_parts import Fleet, connected, print_table, prove  # noqa: PLC0415 - it needs the extra

    demo.headline("Run")
    with connected(folder, stations) as client:
        fleet = Fleet(client, stations)
        fleet.run()
    print_table(machine, stations)
    return prove(machine, folder, stations, fleet.outcomes)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The main job of ntt_loops on several Dask workers.")
    parser.add_argument("--workers", type=_at_least_one, default=3, help="worker processes (3)")
    parser.add_argument("--media", type=_at_least_one, default=4, help="media of each worker (4)")
    parser.add_argument("--kills", type=_number, default=2, help="of each worker's media so many kill it once (2)")
    return parser.parse_args()


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _at_least_one(text: str) -> int:
    return _number(text) or _number("-1")


def main() -> int:
    """Run it; return 1 where a proof fails or it cannot be run here, 130 where it was interrupted."""
    arguments = parse()
    try:
        import ntt_loops.dask  # noqa: F401, PLC0415 - whoever lacks it is told
    except ModuleNotFoundError as error:
        print(f"fleet.py: {error}", file=sys.stderr)
        return 1
    reason = demo.why_not_real()
    if reason is not None:
        print(f"fleet.py: {reason}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.print_warnings()
    try:
        with demo.choose_machine(in_memory=False) as machine, demo.working_folder(machine) as folder:
            stations = make_stations(machine, folder, arguments.workers, arguments.media, arguments.kills)
            return 0 if run_all(machine, folder, stations) else 1
    except KeyboardInterrupt:
        print("Interrupted.")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
