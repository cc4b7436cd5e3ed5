"""Three readings, one digest: the device, the device again, and the copy.

Neither reading of a device goes past what is cached of its image file: nobody but the kernel can reach that any more.
"""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ntt_loops._kernel import Handle
    from ntt_loops._rescue.new_file import NewFile
    from ntt_loops._rescue.source import Source

#: Read at a time, and the smallest hole: small enough that a mostly empty disk stays small.
BLOCK_BYTES = 64 * 1024
_ZEROS = bytes(BLOCK_BYTES)
READINGS = 3


class Copying:
    """One copy of one device."""

    def __init__(self, source: Source, handle: Handle, target: NewFile, advance: Callable[[int], object]) -> None:
        self._source = source
        self._handle = handle
        self._target = target
        self._advance = advance
        self.hole_bytes = 0

    def run(self) -> str:
        """Copy, compare, and return the digest; RescueError where two of the three differ."""
        first = self._copy()
        self._target.finish(self._source.size_bytes)
        self._source.kernel.drop_cache(self._handle)
        if self._digest(self._read_device) != first:
            raise self._source.error(
                "it changes while it is read: somebody writes to it; 'ntt-loops why' names who", errno.EBUSY
            )
        if self._digest(self._target.read) != first:
            raise self._source.error("the copy read back is not what was written", errno.EIO)
        return first

    def _copy(self) -> str:
        digest = hashlib.sha256()
        for offset, block in self._blocks(self._read_device):
            digest.update(block)
            if block == _ZEROS[: len(block)]:
                self.hole_bytes += len(block)
            else:
                self._target.write(block, offset)
        return digest.hexdigest()

    def _digest(self, read: Callable[[int, int], bytes]) -> str:
        digest = hashlib.sha256()
        for _, block in self._blocks(read):
            digest.update(block)
        return digest.hexdigest()

    def _blocks(self, read: Callable[[int, int], bytes]) -> Iterator[tuple[int, bytes]]:
        for offset in range(0, self._source.size_bytes, BLOCK_BYTES):
            size = min(BLOCK_BYTES, self._source.size_bytes - offset)
            block = read(offset, size)
            yield offset, block
            self._advance(len(block))

    def _read_device(self, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            block = self._source.kernel.read(self._handle, offset_bytes, size_bytes)
        except OSError as error:
            reason = f"it cannot be read at byte {offset_bytes}: {error.strerror}; ddrescue(8) copies what can be"
            raise self._source.error(reason, error.errno or errno.EIO) from error
        if len(block) != size_bytes:
            raise self._source.error(f"it ends before byte {offset_bytes + size_bytes}", errno.EIO)
        return block
