"""A FUSE file system whose server can be stopped or killed, as a dead NFS server would be."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import oracle, rawloop
from tests.support.children import Child, children
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FuseServer:
    """bindfs, which shows one folder at another place, attributes uncached and names looked up each time."""

    def __init__(self, source: Path, target: Path, options: str) -> None:
        """Start it and wait for the mount."""
        target.mkdir()
        command = [require_tool("bindfs"), "-f", "-o", options, str(source), str(target)]
        self._process = subprocess.Popen(command)
        self.folder = target
        self._is_unmounted = False
        rawloop.wait_until(target.is_mount, "bindfs has mounted")

    @contextmanager
    def stopped(self) -> Iterator[Callable[..., Child]]:
        """Stop it; yields what starts children, and lets the server go on before they are waited for."""
        with children() as start:
            self._process.send_signal(signal.SIGSTOP)
            try:
                rawloop.wait_until(self._is_stopped, "bindfs has stopped")
                yield start
            finally:
                self.go_on()

    def _is_stopped(self) -> bool:
        """Whether none of its threads can pick up a request any more."""
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return all((thread / "stat").read_text().rpartition(") ")[2].startswith("T") for thread in threads)

    def go_on(self) -> None:
        """Let it answer again."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it the hard way: the mount stays, and each request fails with ENOTCONN."""
        self._process.kill()
        self._process.wait()

    def unmount_lazily(self) -> None:
        """Take it from its folder; it lives as long as somebody has a file of it open."""
        oracle.run("umount", "--lazy", str(self.folder))
        self._is_unmounted = True

    def close(self) -> None:
        """Unmount and wait for its end."""
        self.go_on()
        if not self._is_unmounted:
            self.unmount_lazily()
        self._process.wait()


@contextmanager
def fuse(folder: Path, options: str = "attr_timeout=0,entry_timeout=0") -> Iterator[FuseServer]:
    """A FUSE file system below `folder`, with an empty folder behind it."""
    behind = folder / "behind"
    behind.mkdir()
    server = FuseServer(behind, folder / "fuse", options)
    try:
        yield server
    finally:
        server.close()
