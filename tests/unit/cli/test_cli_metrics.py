"""``ntt-loops metrics``."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ntt_loops
from tests.support.needs import find_tool
from tests.unit.cli.conftest import HASH

if TYPE_CHECKING:
    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


def samples(text: str) -> dict[str, float]:
    """Return what Prometheus' own parser reads: a value by name and state."""
    families = text_string_to_metric_families(text)
    return {one.name + one.labels.get("state", ""): one.value for family in families for one in family.samples}


def an_image(name: str, size_bytes: int = 4096) -> Path:
    """An image, made where there is none."""
    path = Path(name).absolute()
    path.write_bytes(bytes(size_bytes))
    return path


@pytest.fixture
def host(kernel: MemoryKernel) -> MemoryKernel:
    """A device of each state; of the orphan's image there are two, and another deleted image of that very path."""
    number = kernel.attach_foreign(an_image("old.img"))
    kernel.attach_foreign(an_image("partly.img", 1024))
    Path("partly.img").unlink()
    again = kernel.attach_foreign("old.img")
    Path("old.img").unlink()
    kernel.open_elsewhere(kernel.attach_foreign(an_image("old.img", 8192)), pid=4711, command="dd")
    Path("old.img").unlink()
    assert number != again
    ntt_loops.attach_kept(f"{HASH}.img")
    kernel.attach_foreign("disk-12.img")
    kernel.format(an_image("fs.img"), "ext4")
    ntt_loops.mount_medium("fs.img", root="mnt")
    return kernel


def test_every_device_is_in_one_state(cli: CommandLine, host: MemoryKernel) -> None:
    """Their sum is all devices; each deleted image counts once, those of one path each."""
    with ntt_loops.attached(an_image("scoped.img")):
        done = cli("metrics")
        found = samples(done.out)
        bound = len(host.bound_numbers())
    assert (done.status, done.err) == (0, "")
    assert [found[f"ntt_loops_devices{state}"] for state in ("scoped", "mounted", "kept", "orphan", "foreign")] == [
        *(1, 1, 1, 3, 2)
    ]
    assert sum(value for name, value in found.items() if name.startswith("ntt_loops_devices")) == bound
    assert found["ntt_loops_deleted_bytes"] == 4096 + 1024 + 8192
    assert 0 < found["ntt_loops_oldest_kept_seconds"] < 60
    assert found["ntt_loops_free_numbers"] == 2**20 - bound
    assert found["ntt_loops_stuck_devices"] == 0


def test_the_last_sweep_is_told(cli: CommandLine, host: MemoryKernel) -> None:
    """As far as there was one; a dry run is none, and what has a problem is no success."""
    assert not [name for name in samples(cli("metrics").out) if "sweep" in name]
    cli("sweep", "--system", "--dry-run")
    assert not [name for name in samples(cli("metrics").out) if "sweep" in name]
    before = time.time()
    cli("sweep", "--system")
    found = samples(cli("metrics").out)
    assert before <= found["ntt_loops_last_sweep_timestamp_seconds"] <= time.time()
    assert found["ntt_loops_last_sweep_released_devices"] == 3
    assert found["ntt_loops_last_sweep_freed_bytes"] == 4096 + 1024
    assert found["ntt_loops_last_sweep_success"] == 1
    assert 0 <= found["ntt_loops_last_sweep_duration_seconds"] < 60
    host.fail_flush(host.attach_foreign(an_image("lost.img"), read_only=False))
    Path("lost.img").unlink()
    assert cli("sweep", "--system").status == 1
    assert samples(cli("metrics").out)["ntt_loops_last_sweep_success"] == 0


@pytest.mark.usefixtures("host")
def test_promtool_has_no_complaint(cli: CommandLine) -> None:
    """As far as it is installed: names, types and help texts are as Prometheus wants them."""
    cli("sweep")
    promtool = find_tool("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    text = cli("metrics").out
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_file_is_written_whole_and_for_everybody(cli: CommandLine, tmp_path: Path) -> None:
    """Under a service's umask, too; what is there is replaced, and nothing else is left in the folder."""
    folder = tmp_path / "textfiles"
    folder.mkdir()
    file = folder / "ntt-loops.prom"
    file.write_text("of another day\n", encoding="utf-8")
    before = os.umask(0o077)
    try:
        done = cli("metrics", "--output", file)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert samples(file.read_text(encoding="utf-8"))["ntt_loops_devicesscoped"] == 0
    assert list(folder.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--output", "none/x.prom"], 1, "No such file or directory"),
        (["--output", "link.prom"], 1, "is no regular file"),
        (["--output", "."], 1, "is no regular file"),
        (["--output", ""], 2, "it may not be empty"),
        (["--output", "x.prom", "--json"], 2, "--json is printed"),
    ],
)
def test_where_it_cannot_be_written_it_says_so(
    cli: CommandLine, tmp_path: Path, arguments: list[str], status: int, said: str
) -> None:
    """/dev/stdout is a symlink, which root would replace by a file."""
    (tmp_path / "link.prom").symlink_to("/dev/stdout")
    done = cli("metrics", *arguments)
    assert (done.status, said in done.err) == (status, True)
    assert (tmp_path / "link.prom").is_symlink()


def test_without_the_extra_the_json_is_there(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs nothing but what every verb needs."""
    monkeypatch.setitem(sys.modules, "ntt_loops.cli.exposition", None)
    assert cli("metrics", "--json").json["last_sweep"] is None
