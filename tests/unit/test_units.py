"""The units in examples/systemd are ones that systemd understands, and finds well guarded."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from ntt_loops._world import RUN_DIR
from tests.support import units
from tests.support.needs import require_tool

#: systemd-analyze calls an exposure below 5.0 "OK"; it wants tenths.
OK = "49"
#: What gives a service namespaces of its own, a mount namespace above all.
NAMESPACED = (
    *("BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "InaccessiblePaths", "MountFlags", "MountImages"),
    *("NoExecPaths", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork", "PrivatePIDs", "PrivateTmp"),
    *("PrivateUsers", "ProcSubset", "ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs"),
    *("ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "ReadOnlyPaths"),
    *("ReadWritePaths", "RootDirectory", "RootImage", "TemporaryFileSystem"),
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = [require_tool("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units, with a command that is there."""
    made = []
    for unit in (units.SERVICE, units.TIMER):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text(encoding="utf-8").replace(units.COMMAND, "/bin/true"), encoding="utf-8")
        made.append(copy)
    return made


def test_systemd_understands_the_units(installed: list[Path]) -> None:
    """Neither an unknown setting nor a wrong value is in them: not a word is said."""
    done = analyze("verify", "--man=no", *installed)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "ntt-loops" in line]) == (0, [])


def test_systemd_finds_a_mistake(installed: list[Path]) -> None:
    """The check above sees something."""
    service = installed[0]
    service.write_text(service.read_text(encoding="utf-8") + "ProtectNothing=yes\n", encoding="utf-8")
    assert "ProtectNothing" in analyze("verify", "--man=no", service).stderr


def test_exposure_is_ok() -> None:
    """systemd-analyze security gives the service the level OK."""
    done = analyze("security", "--no-pager", "--offline=true", f"--threshold={OK}", units.SERVICE)
    assert done.returncode == 0, done.stdout
    assert re.search(r"exposure level for ntt-loops-sweep\.service: \d\.\d OK", done.stdout)


def test_the_service_sees_what_the_host_sees() -> None:
    """No setting gives it a mount namespace of its own, and each that is left out is named with its reason."""
    service = units.settings(units.SERVICE)
    assert sorted(service.keys() & {*NAMESPACED, "RuntimeDirectory"}) == []
    comments = [line for line in units.SERVICE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    named = set(re.findall(r"\b([A-Z]\w+)=", "\n".join(comments)))
    assert {name for name in NAMESPACED if name.startswith(("Private", "Protect"))} <= named


def test_the_service_sweeps() -> None:
    """The timer starts the service, which runs the command line's sweep."""
    assert units.settings(units.SERVICE)["ExecStart"] == [f"{units.COMMAND} sweep"]
    assert units.TIMER.stem == units.SERVICE.stem
    assert units.settings(units.TIMER)["WantedBy"] == ["timers.target"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's folders")
def test_tmpfiles_makes_the_folder_of_the_ledgers(tmp_path: Path) -> None:
    """It makes the folder that the library uses, for root alone."""
    subprocess.run([require_tool("systemd-tmpfiles"), "--create", f"--root={tmp_path}", units.TMPFILES], check=True)
    folder = (tmp_path / Path(RUN_DIR).relative_to("/")).stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid, folder.st_gid) == (0o700, 0, 0)


def test_readme_installs_each_file() -> None:
    """Every file of the folder is in the commands of its README."""
    readme = (units.FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in units.FOLDER.iterdir()} - {"README.md"}
    assert files == {name for name in files if f"examples/systemd/{name}" in readme}
