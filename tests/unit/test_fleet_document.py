"""docs/fleet.md, and the units that it installs."""

from __future__ import annotations

import hashlib
import logging
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from distributed import LocalCluster
from distributed.cli.dask_scheduler import main as dask_scheduler
from distributed.cli.dask_worker import main as dask_worker

from ntt_loops._world import RUN_DIR
from ntt_loops.dask import LoopsWorker
from ntt_loops.testing import in_memory
from tests.support import units
from tests.support.needs import require_tool

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
DEMO, INSTALL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
TASK, SECURITY = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SCHEDULER = units.FOLDER / "ntt-loops-scheduler.service"
WORKER = units.FOLDER / "ntt-loops-worker.service"


def test_the_task_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the address and the path of this test; devices in memory have no content, so the image is read."""
    monkeypatch.setenv("NTT_LOOPS_RUN_DIR", str(tmp_path / "run"))
    image = tmp_path / "disk-12.img"
    image.write_bytes(b"A" * 4096)
    code = TASK.replace("/data/fast/img/disk-12.img", str(image)).replace("Path(device)", "device.image")
    make: Any = LocalCluster  # its arguments have no types
    options = {"worker_class": LoopsWorker, "resources": {"host-a": 1}, "silence_logs": logging.CRITICAL}
    said: list[str] = []
    with (
        in_memory() as kernel,
        make(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, **options) as cluster,
    ):
        code = code.replace("tcp://scheduler.example:8786", cluster.scheduler_address)
        exec(compile(code, "docs/fleet.md", "exec"), {"print": said.append})  # noqa: S102 - it is our own
        assert kernel.bound_numbers() == []
    assert said == [hashlib.sha256(b"A" * 4096).hexdigest()]


def test_the_security_that_is_shown_is_one() -> None:
    """Its options are those of this distributed."""
    names: dict[str, Any] = {}
    exec(compile(SECURITY, "docs/fleet.md", "exec"), names)  # noqa: S102 - it is our own
    assert names["security"].require_encryption is True


def test_the_example_is_there_with_the_options_that_are_named() -> None:
    """It is run by tests/kernel/test_fleet_example.py."""
    command, _, comment = DEMO.partition("#")
    assert command.split() == [".venv/bin/python", "examples/fleet.py"]
    source = (ROOT / "examples" / "fleet.py").read_text(encoding="utf-8")
    assert {f'"{option}"' for option in re.findall(r"--\w+", comment)} == set(re.findall(r'"--\w+"', source))


def test_what_is_installed_is_there() -> None:
    """The extra, and the unit; systemd starts it by its name."""
    extra = re.findall(r"'\.\[(\w+)\]'", INSTALL)
    assert set(extra) <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert f"install -m 0644 {WORKER.relative_to(ROOT)} /etc/systemd/system/" in INSTALL
    assert f"systemctl enable --now {WORKER.stem}\n" in INSTALL
    files = {f"/etc/ntt-loops-fleet/{name}" for name in re.findall(r"\w+\.(?:pem|key)", INSTALL)}
    assert files == set(re.findall(r"/etc/ntt-loops-fleet/\S+", units.settings(WORKER)["ExecStart"][0]))


@pytest.mark.parametrize("unit", [SCHEDULER, WORKER], ids=lambda unit: unit.stem)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    """Neither an unknown setting nor a wrong value is in it."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace("/opt/ntt-loops/bin/dask", "/bin/true"), encoding="utf-8")
    command = [require_tool("systemd-analyze"), "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "ntt-loops" in line]) == (0, [])


@pytest.mark.parametrize(
    ("unit", "verb", "command"), [(SCHEDULER, "scheduler", dask_scheduler), (WORKER, "worker", dask_worker)]
)
def test_dask_understands_the_command(unit: Path, verb: str, command: click.Command, tmp_path: Path) -> None:
    """Each option is one of this distributed; the files that it names are there."""
    (line,) = units.settings(unit)["ExecStart"]
    program, said, *words = line.split()
    assert (program, said) == ("/opt/ntt-loops/bin/dask", verb)
    for name in ("ca.pem", "host.pem", "host.key"):
        (tmp_path / name).touch()
    places = ("/etc/ntt-loops-fleet", "${CREDENTIALS_DIRECTORY}", "${STATE_DIRECTORY}")
    for place in places:
        words = [word.replace(place, str(tmp_path)) for word in words]
    assert command.make_context(verb, words).params


def test_the_worker_is_one_with_the_plugin_and_a_ledger_of_its_own() -> None:
    """It is named, so that a resource leads to it, and its ledger is not the host's."""
    settings = units.settings(WORKER)
    (line,) = settings["ExecStart"]
    assert f" --worker-class {LoopsWorker.__module__.rpartition('.')[0]}.{LoopsWorker.__name__} " in line
    assert re.search(r" --name (\S+) .* --resources \1=", line)
    (variable,) = settings["Environment"]
    assert variable.startswith(f"NTT_LOOPS_RUN_DIR={RUN_DIR}-")
    assert settings["Restart"] == ["always"]
