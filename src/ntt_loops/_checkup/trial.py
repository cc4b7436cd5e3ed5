"""Trying it: a small image of its own is attached in both ways, read, and let go."""

from __future__ import annotations

import os
import secrets
import struct
import tempfile
import time
from typing import TYPE_CHECKING

from ntt_loops._attachment import LoopAttachment, Options, attach_kept
from ntt_loops._checkup.values import Check, judged
from ntt_loops._medium import release_device
from ntt_loops.errors import NttLoopsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ntt_loops._attachment import LoopDevice
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Ledger

_SECTOR_BYTES = 512
_IMAGE_BYTES = 1 << 20
#: One entry of an MBR: not active, no CHS, a Linux partition of 128 sectors from sector 64 on.
_ENTRY = struct.pack("<B3sB3sII", 0, b"\0\xff\xff", 0x83, b"\0\xff\xff", 64, 128)
_MBR = (bytes(446) + _ENTRY + bytes(48) + b"\x55\xaa").ljust(_SECTOR_BYTES, b"\0")


class Trial:
    """Attaches and releases."""

    def __init__(self, kernel: Kernel, ledger: Ledger, deadline: Deadline) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._deadline = deadline
        self._medium = f"ntt-loops-doctor-{secrets.token_hex(4)}"

    def checks(self) -> Iterator[Check]:
        """Yield what came of it."""
        with tempfile.TemporaryDirectory(prefix="ntt-loops-doctor-") as folder:
            image = os.path.join(folder, f"{self._medium}.img")
            with open(image, "wb") as file:
                file.write(_MBR)
                file.truncate(_IMAGE_BYTES)
            yield from self._scoped(image)
            yield self._tried("release", self._kept, image)

    def _scoped(self, image: str) -> Iterator[Check]:
        """Attach for a ``with`` block, and see that the device goes with it."""
        partitions: list[Check] = []

        def attach(image: str) -> str:
            began = time.monotonic()
            with LoopAttachment(self._kernel, self._ledger, image, self._options(image)) as device:
                took = time.monotonic() - began
                partitions.append(self._tried("partitions", self._table, device))
            return f"an image was attached to {device} in {took * 1000:.1f} ms, and went with its with block"

        yield self._tried("attach", attach, image)
        yield from partitions

    def _table(self, device: LoopDevice) -> str:
        by_kernel = bool(self._kernel.partitions(device.number))
        if not device.partitions:
            message = "a partition table was not read, neither by the kernel nor by partx(8)"
            raise NttLoopsError(message)
        return f"tables are read by {'the kernel' if by_kernel else 'partx(8), this kernel reads none of MBR'}"

    def _kept(self, image: str) -> str:
        device = attach_kept(self._kernel, self._ledger, image, self._options(image))
        os.unlink(image)  # whoever is killed here leaves what a sweep takes
        released = release_device(self._kernel, self._ledger, device, self._deadline).released
        if [one.device for one in released] != [self._kernel.node(device.number)]:
            message = f"{device} was not released"
            raise NttLoopsError(message)
        return "a kept device was released, and the kernel says so"

    def _options(self, image: str) -> Options:
        return Options.of(
            image,
            medium=self._medium,
            writable=False,
            offset_bytes=0,
            size_limit_bytes=0,
            sector_size_bytes=None,
            timeout=self._deadline.remaining,
        )

    def _tried(self, name: str, work: Callable[..., str], what: object) -> Check:
        try:
            return judged(name, work(what))
        except NttLoopsError as error:
            return judged(name, str(error), failed="see to what the error says; the checks above may tell why")
