"""Programs in a mount namespace whose /dev is empty, as in a container without devtmpfs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.needs import require_tool
from tests.support.oracle import run

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

#: Prefix, kit and options, then the programs: one after the other, with the arguments that are left.
_SCRIPT = """
prefix=$1 kit=$2 options=$3 python=$4 programs=$5; shift 5
mount -t tmpfs -o "$options" none /dev && cp -a "$kit"/. /dev/ || exit 99
for program in "$programs"/*.py; do
    $prefix "$python" -W error "$program" "$@"
done
"""


def in_bare_dev(  # noqa: PLR0913 - what differs between one container and the next
    code: str,
    *arguments: str | os.PathLike[str],
    nodes: Sequence[str] = ("/dev/null", "/dev/loop-control"),
    options: str = "mode=755",
    before: str = "",
    prefix: str = "",
    first: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run Python code with these arguments where /dev has these nodes only, mounted with these options.

    `before` is code that is run there before it, `first` a line of shell before /dev is taken away, `prefix` a command
    that Python is run by, such as setpriv(1).
    """
    with tempfile.TemporaryDirectory() as folder:
        kit, programs = Path(folder, "kit"), Path(folder, "programs")
        kit.mkdir()
        programs.mkdir()
        for node in nodes:
            run("cp", "-a", node, kit)
        for number, text in enumerate(filter(None, (before, code))):
            (programs / f"{number}.py").write_text(text)
        command = [require_tool("unshare"), "-m", "--propagation", "private", "sh", "-c", first + _SCRIPT, "sh", prefix]
        command += map(str, (kit, options, sys.executable, programs, *arguments))
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
