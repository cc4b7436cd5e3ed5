"""The command line ``ntt-loops``, for those who live in a shell.

It is thin: what it does, the package's public functions do. It needs the extra ``cli``: click, and rich for terminals;
``metrics`` needs the extra of that name, too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ntt_loops.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Which extra brings a package.
_EXTRAS = {"click": "cli", "rich": "cli", "prometheus_client": "cli,metrics"}
_MISSING = (
    "ntt-loops: this needs {0}, which is not installed: "
    "pipx install 'ntt-loops[{1}]', uv tool install 'ntt-loops[{1}]', or pip install 'ntt-loops[{1}]'\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default on the arguments of this process, and return its exit status."""
    try:
        from ntt_loops.cli.app import run  # noqa: PLC0415 - click is an extra, and whoever lacks it is told so here

        return run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        sys.stderr.write(_MISSING.format(package, _EXTRAS[package]))
        return Exit.ERROR
    except KeyboardInterrupt:
        sys.stderr.write("ntt-loops: interrupted\n")
        return Exit.INTERRUPTED
