"""Images on a file server of our own, with nothing of it left bound or stopped in the end."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntt_loops import LoopDevice, Loops
from tests.support import oracle, rawloop
from tests.support.fuse import FuseServer, fuse
from tests.support.kernels import PinnedKernel
from tests.support.needs import require_tool
from tests.support.rig import filled, hidden_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Changes to a copy of the whole tree as its root.
_CHROOT = 'mount --rbind / "$3" && exec chroot "$3" sh -c "$4" sh "$1" "$2"'
#: In a mount namespace of its own: a server with a file that is open and attached, stopped until a line comes.
_ELSEWHERE = """
bindfs -o attr_timeout=0,entry_timeout=0 "$1" "$2" && exec 3<"$2/f" && pid=$(pgrep -f "^bindfs .* $1 $2") || exit 1
until device=$(losetup -f --show -r "$2/f"); do sleep 0.01; done
kill -STOP $pid && echo $device && read -r end
kill -CONT $pid; losetup -d $device; exec 3<&-; umount "$2"
"""


@contextmanager
def served(folder: Path) -> Iterator[FuseServer]:
    """A FUSE file system below `folder`; whatever is attached from it is detached before it is unmounted.

    A device that were left would keep the server alive, and this test waiting for its end.
    """
    with fuse(folder) as server:
        try:
            yield server
        finally:
            server.go_on()
            for device in oracle.bound_below(server.folder):
                oracle.losetup_detach(device)
            _wait_or_kill(server, lambda: not oracle.bound_below(server.folder))


def _wait_or_kill(server: FuseServer, is_free: Callable[[], bool]) -> None:
    """Wait until nothing is attached from the server; where something stays, end it, so that nobody waits for it."""
    try:
        oracle.wait_until(is_free, "nothing is attached from the server")
    except AssertionError:
        server.kill()
        raise


class HiddenServer:
    """A file server, and devices for its images whose nodes are not in /dev.

    No tool of others that asks each device for its status hangs on them, nor holds one open, while the server is
    stopped.

    Attributes:
        nodes: The devices' nodes, by number.
    """

    def __init__(self, server: FuseServer, nodes: dict[int, Path]) -> None:
        """Take a server and the devices."""
        self._server = server
        self.folder = server.folder
        self.nodes = nodes
        self.stopped = server.stopped

    def attach_kept(self, run_dir: Path, image: Path, **options: Any) -> LoopDevice:
        """Attach one of its images by the library."""
        return Loops(run_dir, PinnedKernel(self.nodes)).attach_kept(image, **options)

    def attach_foreign(self, image: Path) -> int:
        """Attach one of its images by losetup; return the number."""
        number = PinnedKernel(self.nodes).get_free()
        oracle.run("losetup", "-r", self.nodes[number], image)
        return number


@contextmanager
def hidden_server(folder: Path, devices: int) -> Iterator[HiddenServer]:
    """A file server below `folder` with so many hidden devices, all free again in the end."""
    with ExitStack() as stack:
        nodes = [folder / f"node{number}" for number in range(devices)]
        numbers = [stack.enter_context(hidden_number(node)) for node in nodes]
        server = stack.enter_context(fuse(folder))
        found = HiddenServer(server, dict(zip(numbers, nodes, strict=True)))
        try:
            yield found
        finally:
            server.go_on()
            for number, node in found.nodes.items():
                if rawloop.is_bound(number):
                    oracle.losetup_detach(str(node))
            _wait_or_kill(server, lambda: not any(map(rawloop.is_bound, numbers)))


@contextmanager
def stuck_elsewhere(folder: Path, *, root: Path = Path("/")) -> Iterator[str]:
    """A device of a file on a server that does not answer, and that only another mount namespace can see.

    A process there has the file open; ``root`` is its root, which it has a copy of the tree at. Yields the device.
    """
    behind, shown = folder / "behind-elsewhere", folder / "shown-elsewhere"
    behind.mkdir()
    shown.mkdir()
    filled(behind / "f")
    require_tool("bindfs")
    command = [require_tool("unshare"), "--mount", "--propagation", "private", "sh", "-c"]
    if root == Path("/"):
        command += [_ELSEWHERE, "sh", str(behind), str(shown)]
    else:
        command += [_CHROOT, "sh", str(behind), str(shown), str(root), _ELSEWHERE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        device = process.stdout.readline().strip()
        assert device, "the server did not start"
        try:
            yield device
        finally:
            process.communicate("\n")
    seen = root / shown.relative_to("/") / "f"
    oracle.wait_until(lambda: not oracle.bound_to_path(seen), "nothing is attached from the server")
