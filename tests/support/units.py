"""The unit files in examples/systemd, and what systemd makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.support.needs import require_tool

FOLDER: Final = Path(__file__).parents[2] / "examples" / "systemd"
SERVICE: Final = FOLDER / "ntt-loops-sweep.service"
TIMER: Final = FOLDER / "ntt-loops-sweep.timer"
TMPFILES: Final = FOLDER / "ntt-loops.conf"
#: Where the units say that the command is.
COMMAND: Final = "/opt/ntt-loops/bin/ntt-loops"


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting of a unit file, in their order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def capabilities() -> list[str]:
    """Return the service's capabilities, as setpriv(1) names them."""
    (names,) = settings(SERVICE)["CapabilityBoundingSet"]
    return [name.removeprefix("CAP_").lower() for name in names.split()]


def allowed_calls() -> set[str]:
    """Return the system calls that the service's filter lets through."""
    allowed: set[str] = set()
    for value in settings(SERVICE)["SystemCallFilter"]:
        calls = {call for name in value.removeprefix("~").split() for call in _calls_of(name)}
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def _calls_of(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    command = [require_tool("systemd-analyze"), "syscall-filter", name]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    members = [line.strip() for line in said.splitlines()[1:]]
    return {call for member in members if member and not member.startswith("#") for call in _calls_of(member)}
