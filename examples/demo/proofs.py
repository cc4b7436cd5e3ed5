"""What must hold in the end, asked of others than the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.demo.output import headline, tell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from examples.demo.machine import Machine
    from examples.demo.medium import Medium


def prove(machine: Machine, folder: Path, media: Sequence[Medium], orphaned: Medium) -> bool:
    """Print each proof with its outcome; return whether all hold."""
    every = [*media, orphaned]
    left = machine.devices_below(folder) + machine.mounts_below(folder)
    made = sum(one.count.made.total() for one in every)
    gone = sum(one.count.gone.total() for one in every)
    files = sum(len(one.files) for one in media)
    headline("Proofs")
    outcomes = [
        proof(f"{machine.witness()}: no device and no mount is left below {folder}", left),
        proof(f"the table: {made} devices were made, {gone} are gone", [] if made == gone else ["some are missing"]),
        proof(
            f"SHA-256: {len(every)} images were unchanged when they were deleted",
            [one.id for one in every if one.sha256_at_unlink != one.sha256],
        ),
        proof(
            f"SHA-256: {files} files came out as they had gone in",
            [one.id for one in media if one.copied != one.files],
        ),
        proof(
            f"{len(media)} media: one stage failed and was run again",
            [one.id for one in media if len(one.failures) != 1],
        ),
    ]
    return all(outcomes)


def proof(what: str, against: Sequence[str]) -> bool:
    """Print one proof and what speaks against it; return whether it holds."""
    tell("FAILS" if against else "holds", f"{what}{': not so for ' + ', '.join(against) if against else ''}")
    return not against
