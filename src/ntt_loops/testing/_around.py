"""What stands around the devices: the machine, which lacks nothing unless a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._kernel.values import Surroundings

if TYPE_CHECKING:
    from ntt_loops._kernel.machine import Machine as Facts
    from ntt_loops.testing._machine import Machine


class Around:
    """The part of ``MemoryKernel`` that is the machine."""

    _machine: Machine

    def machine(self, run_dir: bytes) -> Facts:  # noqa: ARG002 - it makes no difference here
        """Return what it has."""
        with self._machine as machine:
            return attrs.evolve(machine.facts, number_limit=machine.max_devices)

    def number_limit(self) -> int:
        """Return how many devices there can be."""
        with self._machine as machine:
            return machine.max_devices

    def surroundings(self) -> Surroundings:
        """Return that nothing is lacking."""
        return Surroundings()

    def machine_has(self, **facts: Any) -> None:
        """Say what the machine has, or lacks: ``release="5.4.0"``, ``has_systemd=False``."""
        with self._machine as machine:
            machine.facts = attrs.evolve(machine.facts, **facts)
