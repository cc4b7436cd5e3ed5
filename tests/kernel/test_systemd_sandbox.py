"""The sweep inside as much of its service's sandbox as can be had without systemd as the first process.

Capabilities are dropped by setpriv, what the filter refuses is refused by strace, and its log tells which nodes were
opened and what memory was asked for.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oracle, units
from tests.support.holding import reader
from tests.support.images import make_image
from tests.support.media import by_losetup, is_bound, new_id, new_image
from tests.support.needs import require_tool
from tests.support.rig import mounted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SWEEP = (sys.executable, "-m", "ntt_loops", "sweep", "--json")
#: Calls that begin a program, which systemd makes before its filter is there.
TO_BEGIN = frozenset({"execve"})


def dropped() -> list[str]:
    """Return the command before a command that leaves it with the service's capabilities."""
    kept = ",".join(f"+{name}" for name in units.capabilities())
    return [require_tool("setpriv"), "--no-new-privs", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]


def filtered(log: Path) -> list[str]:
    """Return the command before a command that has what the service's filter refuses refused, and writes a log."""
    allowed = ",".join(f"?{call}" for call in sorted(units.allowed_calls() | TO_BEGIN))
    return [require_tool("strace"), "-f", "-qq", "-o", str(log), f"--inject=!{allowed}:error=EPERM"]


def sweep(before: Sequence[str], *options: str) -> Any:  # noqa: ANN401 - JSON
    """Sweep below other commands and return the report."""
    done = subprocess.run([*before, *SWEEP, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def sweep_until_gone(device: str, before: Sequence[str], *options: str) -> Any:  # noqa: ANN401 - JSON
    """Sweep until this one is released: a look of others at it, which lasts for a moment, makes it one in use."""
    reports: list[Any] = []

    def is_released() -> bool:
        reports.append(sweep(before, *options))
        return device in [one["device"] for one in reports[-1]["released"]]

    oracle.wait_until(is_released, f"{device} is swept", seconds=30)
    return reports[-1]


def test_an_orphan_goes_and_users_are_named(tmp_path: Path) -> None:
    """With the service's capabilities an orphan of losetup is detached; who mounts or reads one is found."""
    images = [new_image(tmp_path), make_image(tmp_path / f"{new_id()}.img", size_bytes=2**20), new_image(tmp_path)]
    orphan, used, read = map(by_losetup, images)
    with mounted(used, tmp_path / "mnt", "-o", "ro,noload"), reader(read) as process:
        for image in images:
            image.unlink()
        report = sweep_until_gone(orphan, dropped(), "--under", str(tmp_path))
        assert not is_bound(orphan)
        holders = {one["device"]: [(h["kind"], h["pid"], h["where"]) for h in one["holders"]] for one in report["kept"]}
        # Others on this machine make mount namespaces: their copies of the mount are rightly named, too.
        assert holders.keys() == {used, read}
        assert ("mount", None, str(tmp_path / "mnt")) in holders[used]
        assert ("process", process.pid, read) in holders[read]
    assert (is_bound(used), is_bound(read)) == (True, True), "one was armed, and went with its user"
    for device in (used, read):
        oracle.losetup_detach(device)
    oracle.wait_until(lambda: not (is_bound(used) or is_bound(read)), "both go", seconds=30)


@pytest.mark.parametrize("name", ["{}", "{} (deleted)"])
def test_a_living_image_stays(tmp_path: Path, name: str) -> None:
    """An image that is there keeps its device, in a closed folder of another user too, whatever it is called."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    device = by_losetup(new_image(tmp_path).rename(folder / name.format(new_id())))
    oracle.run("chown", "-R", "12345:12345", folder)
    assert sweep(dropped(), "--under", str(folder))["released"] == []
    assert is_bound(device)
    oracle.losetup_detach(device)


def test_the_filter_refuses_nothing_it_needs(tmp_path: Path) -> None:
    """With the filter a sweep works as without: it opens no other nodes, and asks for no memory to write code to."""
    image = new_image(tmp_path)
    orphan = by_losetup(image)
    image.unlink()
    log = tmp_path / "log"
    sweep_until_gone(orphan, [*dropped(), *filtered(log)], "--under", str(tmp_path))
    calls = log.read_text(encoding="utf-8", errors="replace")
    nodes = set(re.findall(r'open(?:at)?\([^"]*"(/dev/[^"]*)"', calls))
    assert orphan in nodes
    assert {node for node in nodes if not re.fullmatch(r"/dev/(loop\d+|loop-control|null|ntt-loops)", node)} == set()
    assert "PROT_READ" in calls
    assert re.findall(r"\b(?:mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC.*", calls) == []
    assert re.findall(r"^\d+ +socket\(.*", calls, re.MULTILINE) == []


def test_the_log_shows_what_is_refused(tmp_path: Path) -> None:
    """The filter above refuses a call that the service's refuses."""
    log = tmp_path / "log"
    umount = [require_tool("umount"), str(tmp_path)]
    subprocess.run([*filtered(log), *umount], capture_output=True, check=False)
    assert re.search(r"umount2\(.*EPERM.*\(INJECTED\)", log.read_text(encoding="utf-8"))


def test_what_is_hidden_looks_deleted(tmp_path: Path) -> None:
    """Where ProtectHome= or PrivateTmp= hid an image, a sweep would take it: the reason why the service has neither."""
    folder = tmp_path / "home"
    folder.mkdir()
    device = by_losetup(new_image(tmp_path).rename(folder / f"{new_id()} (deleted)"))
    hide = [require_tool("unshare"), "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
    report = sweep(hide, "--dry-run", "--under", str(tmp_path))
    assert [one["device"] for one in report["released"]] == [device]
    assert sweep([], "--dry-run", "--under", str(tmp_path))["released"] == []
    oracle.losetup_detach(device)
