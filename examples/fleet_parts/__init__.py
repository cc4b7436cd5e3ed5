"""What stands around the fleet: stations with their storage, the task, the cluster, the kills, and the proofs."""

from __future__ import annotations

from examples.fleet_parts.cluster import connected
from examples.fleet_parts.proofs import print_table, prove
from examples.fleet_parts.running import Fleet
from examples.fleet_parts.station import Station, make_station

__all__ = ["Fleet", "Station", "connected", "make_station", "print_table", "prove"]
