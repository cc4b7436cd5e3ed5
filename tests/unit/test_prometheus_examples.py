"""examples/prometheus: the rules speak of metrics that there are, and go off when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ntt_loops.cli import exposition
from tests.support import units
from tests.support.needs import find_tool, require_tool

FOLDER = Path(__file__).parents[2] / "examples" / "prometheus"
RULES = FOLDER / "ntt-loops.rules.yml"
TEXT = RULES.read_text(encoding="utf-8")
CASES = (FOLDER / "ntt-loops.rules.test.yml").read_text(encoding="utf-8")
README = (FOLDER / "README.md").read_text(encoding="utf-8")
DROP_IN = FOLDER / "metrics.conf"
ALERTS = re.findall(r"- alert: (\w+)", TEXT)
SWEPT = {
    "time": 1.0,
    "duration_seconds": 1.0,
    "outcome": "done",
    "released": 0,
    "kept": 0,
    "freed_bytes": 0,
}
ALL = {
    "devices": {"orphan": 0},
    "stuck_devices": 0,
    "deleted_bytes": 0,
    "oldest_kept_seconds": 0.0,
    "free_numbers": 1,
    "last_sweep": SWEPT,
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool, where it is installed."""
    path = find_tool("promtool")
    if path is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return subprocess.run([path, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


def test_the_rules_speak_of_metrics_that_there_are() -> None:
    """Every name in an expression is one that is printed, or node_exporter's own."""
    printed = {
        line.split()[2] for line in exposition.text_of(exposition.registry_of(ALL)).splitlines() if "TYPE" in line
    }
    for text in (TEXT, CASES):
        named = set(re.findall(r"\bntt_loops_\w+", text))
        assert named <= printed
    assert "node_textfile_mtime_seconds" in TEXT


def test_every_alert_has_a_reason_a_remedy_and_a_case() -> None:
    """A comment above it, what to run, and both a good and a bad host in the tests."""
    rules = TEXT.split("\n      - alert: ")
    assert len(ALERTS) == len(rules) - 1 > 0
    assert all(rule.rstrip().splitlines()[-1].strip().startswith("# ") for rule in rules[:-1])
    assert all(name in rule for rule in rules[1:] for name in ("severity: ", "summary: ", "action: "))
    assert {name: CASES.count(f"alertname: {name}") for name in ALERTS} == dict.fromkeys(ALERTS, 2)


def test_promtool_understands_the_rules() -> None:
    """Each of them."""
    done = promtool("check", "rules", RULES.name)
    assert (done.returncode, f"{len(ALERTS)} rules found" in done.stdout) == (0, True)


def test_the_alerts_go_off_when_they_should() -> None:
    """On the bad host each, on the good one none."""
    done = promtool("test", "rules", "ntt-loops.rules.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_a_mistake(tmp_path: Path) -> None:
    """The test above sees something."""
    for name, text in ((RULES.name, TEXT.replace("< 100", "< 1")), ("ntt-loops.rules.test.yml", CASES)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = promtool("test", "rules", str(tmp_path / "ntt-loops.rules.test.yml"))
    assert (done.returncode, "NttLoopsNumbersScarce" in done.stdout + done.stderr) == (1, True)


def test_the_drop_in_is_one_that_systemd_understands(tmp_path: Path) -> None:
    """With the sweep's own service; and a mistake in it would be seen."""
    service = tmp_path / units.SERVICE.name
    service.write_text(units.SERVICE.read_text(encoding="utf-8").replace(units.COMMAND, "/bin/true"), encoding="utf-8")
    folder = tmp_path / f"{units.SERVICE.name}.d"
    folder.mkdir()
    text = DROP_IN.read_text(encoding="utf-8").replace(units.COMMAND, "/bin/true")
    said = []
    for content in (text, f"{text}ProtectNothing=yes\n"):
        (folder / DROP_IN.name).write_text(content, encoding="utf-8")
        command = [require_tool("systemd-analyze"), "verify", "--man=no", str(service)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said.append([line for line in done.stderr.splitlines() if "ntt-loops" in line])
    assert said[0] == []
    assert "ProtectNothing" in said[1][0]


def test_the_drop_in_runs_metrics_as_they_are() -> None:
    """The command line is understood, and it comes after a sweep that failed, too."""
    (line,) = units.settings(DROP_IN)["ExecStopPost"]
    words = line.removeprefix("-").split()
    assert words[:3] == [units.COMMAND, "metrics", "--output"]
    assert f'file=~".*{Path(words[3]).name}"' in TEXT
    assert str(Path(words[3]).parent) in README


def test_readme_names_each_file() -> None:
    """Whoever reads it knows what each is for."""
    assert {path.name for path in FOLDER.iterdir()} - {"README.md"} == {
        name for name in (path.name for path in FOLDER.iterdir()) if f"examples/prometheus/{name}" in README
    }


def test_the_folder_can_be_copied_from(tmp_path: Path) -> None:
    """The commands of the README that install rules and drop-in do so."""
    script = "\n".join(re.findall(r"^install .*$", README, re.MULTILINE)).replace(" /etc/", f" {tmp_path}/etc/")
    (tmp_path / "etc" / "prometheus" / "rules").mkdir(parents=True)
    assert shutil.which("install")
    subprocess.run(["sh", "-euc", script], cwd=FOLDER.parents[1], check=True)
    assert (tmp_path / "etc/systemd/system/ntt-loops-sweep.service.d/metrics.conf").read_bytes() == DROP_IN.read_bytes()
    assert (tmp_path / "etc/prometheus/rules" / RULES.name).read_text(encoding="utf-8") == TEXT
