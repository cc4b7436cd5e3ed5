"""Which dm and md devices may be stopped: those that stand on this medium's devices and on nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._kernel import Kernel, StackedDevice


def stoppable(kernel: Kernel, number: int, own: frozenset[int]) -> list[StackedDevice]:
    """Return what stands on a device and may be stopped, in the order in which it can be: the uppermost first.

    One that stands on somebody else's device too, or below such a one, is left: it shows as the holder.
    """
    found = _reachable(kernel, (name for name, _ in kernel.sysfs_holders(number)))
    return _uppermost_first(_without_shared(_on(own, found)))


def _reachable(kernel: Kernel, names: Iterable[str]) -> dict[str, StackedDevice]:
    found: dict[str, StackedDevice] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        one = kernel.stacked(name)
        if name not in found and one is not None:
            found[name] = one
            waiting += one.holders
    return found


def _on(own: frozenset[int], found: dict[str, StackedDevice]) -> dict[str, StackedDevice]:
    """Return those that stand on these devices and on each other alone."""
    chosen: dict[str, StackedDevice] = {}
    while True:
        ground = own.union(*(one.rdevs for one in chosen.values()))
        more = {name: one for name, one in found.items() if name not in chosen and one.slaves <= ground}
        if not more:
            return chosen
        chosen |= more


def _without_shared(chosen: dict[str, StackedDevice]) -> dict[str, StackedDevice]:
    """Take away those that something stands on which is not chosen."""
    while True:
        left = {name: one for name, one in chosen.items() if all(upper in chosen for upper in one.holders)}
        if len(left) == len(chosen):
            return left
        chosen = left


def _uppermost_first(chosen: dict[str, StackedDevice]) -> list[StackedDevice]:
    ordered: list[StackedDevice] = []
    while chosen:
        done = {one.name for one in ordered}
        free = [one for one in chosen.values() if done.issuperset(one.holders)]
        if not free:
            return ordered
        ordered += free
        chosen = {name: one for name, one in chosen.items() if one not in free}
    return ordered
