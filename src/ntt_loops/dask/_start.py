"""What a worker does before its first task: it tries a device, and releases what the one before it left."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ntt_loops._attachment import LoopDevice
from ntt_loops._plain import fields_of
from ntt_loops.errors import DeviceBusyError, LedgerError, NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger, Record
    from ntt_loops._loops import Loops
    from ntt_loops._medium import ReleaseReport

logger = logging.getLogger("ntt_loops")

_CHECK = "worker-check"
_CHECK_BYTES = 64 * 1024


@attrs.frozen
class WorkerStart:
    """What the start of a worker came to.

    Attributes:
        run_dir: The worker's ledger folder.
        pid: The worker's process.
        released: Devices that an earlier worker had left, and that are detached now.
        left: What of them is not, each with its reason in a sentence.
    """

    run_dir: Path
    pid: int
    released: tuple[str, ...]
    left: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def check_machine(loops: Loops, ledger: Ledger, timeout: float) -> None:
    """Attach a small image of its own, and see that the device goes.

    Raises:
        LoopUnavailableError: Loop devices cannot be had here.
        AttachError: A device could be had, and was not what it should be.
        LedgerError: The ledger folder cannot be written.
        DeviceBusyError: The device did not go.
    """
    image = ledger.run_dir / f"{_CHECK}.img"
    try:
        image.unlink(missing_ok=True)
        image.write_bytes(bytes(_CHECK_BYTES))
    except OSError as error:
        message = f"the ledger folder {ledger.run_dir} cannot be written: {error.strerror}"
        raise LedgerError(message, path=ledger.run_dir, errno=error.errno) from error
    try:
        with loops.attached(image, medium=_CHECK, timeout=timeout):
            pass  # the attach asks the kernel whether the device is what it should be, the exit whether it went
    finally:
        image.unlink(missing_ok=True)


def release_predecessors(loops: Loops, kernel: Kernel, ledger: Ledger, timeout: float) -> tuple[list[str], list[str]]:
    """Release what is on the ledger of processes that are dead: kept devices, and mounts, which outlive SIGKILL.

    The ledger is this worker's alone, so nobody else can mean to use them. Returns the devices that are detached, and
    a sentence for each that is not.
    """
    released: list[str] = []
    left: list[str] = []
    for medium, record in _of_the_dead(kernel, ledger):
        try:
            report = loops.release(_device(kernel, medium, record), unmount=True, timeout=timeout)
            released += _gone(report)
        except DeviceBusyError as error:
            left.append(str(error))
        except NttLoopsError as error:
            logger.warning("%s", error, extra={"medium": medium})
            left.append(str(error))
    return released, left


def sweep(loops: Loops, timeout: float) -> list[str]:
    """Sweep this worker's ledger; return what was detached. A problem is a warning: the next sweep has another try."""
    report = loops.sweep(timeout=timeout)
    for problem in report.problems:
        logger.warning("%s", problem)
    return [one.device for one in report.released]


def _of_the_dead(kernel: Kernel, ledger: Ledger) -> Iterator[tuple[str, Record]]:
    for medium in ledger.media():
        for record in ledger.peek(medium):
            if record.owner is None or kernel.is_alive(record.owner) is False:
                yield medium, record


def _device(kernel: Kernel, medium: str, record: Record) -> LoopDevice:
    """Return a record as what ``release`` takes; it goes by number, diskseq and nonce."""
    return LoopDevice(
        path=Path(kernel.node(record.number)),
        number=record.number,
        diskseq=record.diskseq,
        image=Path(os.fsdecode(record.image)),
        medium=medium,
        size_bytes=0,
        tail_bytes=0,
        read_only=True,
        nonce=record.nonce,
    )


def _gone(report: ReleaseReport) -> list[str]:
    """Return the devices of a report; those that went with the unmount are already gone for the release."""
    return [one.device for one in report.released] + [one.device for one in report.already_gone]
