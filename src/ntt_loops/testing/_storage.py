"""Storage that may never answer, or that does not answer now (F21)."""

from __future__ import annotations

import os

from ntt_loops._kernel.protocol import StuckError


class Storage:
    """Folders that lie on a server, and which of these servers hang."""

    def __init__(self) -> None:
        self._remote: set[bytes] = set()
        self._hung: set[bytes] = set()

    def put_away(self, folder: str | bytes | os.PathLike[str], *, is_hung: bool) -> None:
        """Say that a folder lies on a server, and whether that answers."""
        name = os.path.abspath(os.fsencode(folder))
        self._remote.add(name)
        if is_hung:
            self._hung.add(name)
        else:
            self._hung.discard(name)

    def may_hang(self, path: bytes) -> bool:
        """Whether it lies on a server."""
        return _is_below(path, self._remote)

    def is_hung(self, path: bytes) -> bool:
        """Whether its server does not answer."""
        return _is_below(path, self._hung)

    def ask(self, path: bytes, within: float | None) -> None:
        """Touch a file: nothing happens, unless it is on a server that hangs.

        StuckError comes at once, not after ``within``. A call that would hang this very process is a mistake of its
        caller, hence the AssertionError.
        """
        if not self.is_hung(path):
            return
        name = os.fsdecode(path)
        if within is None:
            message = f"{name} does not answer, and it was asked in this process: give a time with `within`"
            raise AssertionError(message)
        message = f"no answer within {within:.1f} s: the storage of {name} does not answer"
        raise StuckError(message)


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(b"/") + b"/") for folder in folders)
