"""What this process may not do: which thing is missing is said, at once."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oracle, tables
from tests.support.media import new_image
from tests.support.needs import require_tool

if TYPE_CHECKING:
    from pathlib import Path

#: Loads a filter that refuses the ioctls of loop devices, 0x4C.., with this errno.
_SECCOMP = """
import ctypes, platform, struct
IOCTL = {"x86_64": 16, "aarch64": 29}[platform.machine()]
FILTER = b"".join(struct.pack("HBBI", *one) for one in [
    (0x20, 0, 0, 0), (0x15, 0, 4, IOCTL), (0x20, 0, 0, 24), (0x54, 0, 0, 0xFF00), (0x15, 0, 1, 0x4C00),
    (0x06, 0, 0, 0x00050000 | NUMBER), (0x06, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(FILTER, len(FILTER))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(FILTER) // 8, ctypes.addressof(buffer)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 4]
assert prctl(38, 1, None, None, None) == 0 and prctl(22, 2, ctypes.addressof(program), None, None) == 0
"""
_TRY = """
import json, sys, time
from ntt_loops import *
loops, image = Loops(sys.argv[1]), sys.argv[2]
began, found = time.monotonic(), {}
try:
    with loops.attached(image, timeout=600) as device:
        found["parts"] = [one.status for one in device.partitions]
except NttLoopsError as error:
    found = error.to_dict()
print(json.dumps({**found, "seconds": time.monotonic() - began}))
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a partition."""
    path = new_image(tmp_path)
    tables.write(path, tables.mbr((8, 8, 0x83)))
    return path


def _tried(folder: Path, image: Path, code: str = "", prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    command = [*prefix, sys.executable, "-W", "error", "-c", code + _TRY, str(folder / "run"), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not oracle.bound_devices(image)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["seconds"] < 30
    return found


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EACCES])
def test_a_seccomp_filter_is_named(tmp_path: Path, image: Path, number: int) -> None:
    """Whatever errno it refuses with."""
    found = _tried(tmp_path, image, f"NUMBER = {number}\n{_SECCOMP}")
    assert found["error"] == ("LoopUnavailableError" if number == errno.ENOSYS else "LoopPermissionError")
    assert "it runs under a seccomp filter" in found["message"]


def test_without_cap_sys_admin_partitions_are_not_added(tmp_path: Path, image: Path) -> None:
    """Attaching takes no capability, adding partitions does: the error says that, and nothing stays attached."""
    setpriv = (require_tool("setpriv"), "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
    found = _tried(tmp_path, image, prefix=setpriv)
    if "error" not in found:  # a kernel that reads tables by itself
        assert found["parts"] == ["ok"]
        return
    assert found["error"] == "LoopPermissionError"
    assert "adding them takes CAP_SYS_ADMIN, which this process has not" in found["message"]


def test_what_stands_around_a_process_is_read_from_proc() -> None:
    """The capability and the filter; root of this machine has the one and not the other."""
    look = "from ntt_loops._kernel.linux import LinuxKernel as K; a = K().surroundings(); "
    say = "print(a.has_module, a.has_sys_admin, a.has_seccomp_filter)"
    setpriv = [require_tool("setpriv"), "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    assert oracle.run(*setpriv, sys.executable, "-c", look + say) == "True False False\n"
    filtered = f"NUMBER = 1\n{_SECCOMP}\n{look}{say}"
    assert oracle.run(sys.executable, "-c", filtered) == "True True True\n"
