"""docs/cli.md: its JSON is what the verbs print, and it has every verb, option and status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import ntt_loops
from ntt_loops.cli.app import VERBS, app
from ntt_loops.cli.exits import Exit
from tests.unit.cli.conftest import HASH

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `(\w+)`.*?\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def example_of(section: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the JSON of a section."""
    (block,) = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return json.loads(block)


def shape(value: object) -> object:
    """Return the names and types in a JSON value; of a list those of its first member."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if type(value) in (int, float) else type(value).__name__


def a_list(cli: CommandLine, kernel: MemoryKernel) -> object:
    """A kept device with a reader, and an orphan of somebody else."""
    orphan = Path("old.img")
    orphan.write_bytes(bytes(1024))
    ntt_loops.attach_kept(f"{HASH}.img")
    kernel.open_elsewhere(0, pid=4711, command="dd")
    kernel.attach_foreign(orphan.absolute())
    orphan.unlink()
    return cli("list", "--json").json


def a_reason(cli: CommandLine, kernel: MemoryKernel) -> object:
    """A kept device with a reader."""
    ntt_loops.attach_kept(f"{HASH}.img")
    kernel.open_elsewhere(0, pid=4711, command="dd")
    return cli("why", "/dev/loop0", "--json").json


def a_run(cli: CommandLine, kernel: MemoryKernel) -> object:  # noqa: ARG001 - as the others
    """A command that succeeds."""
    return cli("run", "--json", f"{HASH}.img", "--", "true").json


def an_attachment(cli: CommandLine, kernel: MemoryKernel) -> object:  # noqa: ARG001 - as the others
    """A kept device."""
    return cli("attach", f"{HASH}.img", "--json").json


def a_mount(cli: CommandLine, kernel: MemoryKernel) -> object:
    """One file system."""
    kernel.format(f"{HASH}.img", "ext4")
    return cli("mount", f"{HASH}.img", "--root", "mnt", "--json").json


def an_unmount(cli: CommandLine, kernel: MemoryKernel) -> object:
    """All of it."""
    a_mount(cli, kernel)
    return cli("unmount", HASH, "--root", "mnt", "--json").json


def a_release(cli: CommandLine, kernel: MemoryKernel) -> object:
    """One medium goes, a device stays."""
    ntt_loops.attach_kept(f"{HASH}.img")
    kernel.open_elsewhere(kernel.attach_foreign(Path("disk-12.img").absolute()), pid=4711, command="dd")
    return cli("release", "--json", "--timeout", "0", HASH, "/dev/loop1").json


def a_sweep(cli: CommandLine, kernel: MemoryKernel) -> object:
    """One orphan goes, one is in use; a record is forgotten."""
    for name in ("old.img", "older.img"):
        Path(name).write_bytes(bytes(1024))
        number = kernel.attach_foreign(Path(name).absolute())
        Path(name).unlink()
    kernel.open_elsewhere(number, pid=4711, command="dd")
    return cli("sweep", "--system", "--json").json


def a_rescue(cli: CommandLine, kernel: MemoryKernel) -> object:
    """A deleted image on a device that can be written to and has a user."""
    number = kernel.attach_foreign(Path("disk-12.img").absolute(), read_only=False)
    kernel.open_elsewhere(number, pid=4711, command="dd")
    Path("disk-12.img").unlink()
    return cli("rescue", "/dev/loop0", "disk-12.img", "--json").json


def a_checkup(cli: CommandLine, kernel: MemoryKernel) -> object:
    """A machine that lacks something."""
    kernel.machine_has(release="5.10.0")
    return cli("doctor", "--json").json


def the_measures(cli: CommandLine, kernel: MemoryKernel) -> object:
    """After a sweep."""
    a_sweep(cli, kernel)
    return cli("metrics", "--json").json


EXAMPLES = {
    "list": a_list,
    "why": a_reason,
    "run": a_run,
    "attach": an_attachment,
    "mount": a_mount,
    "unmount": an_unmount,
    "release": a_release,
    "sweep": a_sweep,
    "rescue": a_rescue,
    "doctor": a_checkup,
    "metrics": the_measures,
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_json_is_as_documented(verb: str, cli: CommandLine, kernel: MemoryKernel) -> None:
    """Every name, in its place, with a value of that type."""
    make: Callable[[CommandLine, MemoryKernel], object] = EXAMPLES[verb]
    assert shape(make(cli, kernel)) == shape(example_of(SECTIONS[verb]))


def test_an_error_is_as_documented(cli: CommandLine, kernel: MemoryKernel) -> None:
    """That of a busy medium, with who uses it."""
    kernel.format(f"{HASH}.img", "ext4")
    number = ntt_loops.attach_kept(f"{HASH}.img").number
    kernel.mount(number, "/mnt/x", busy=True)
    done = cli("unmount", HASH, "--json", "--timeout", "0")
    (section,) = re.findall(r"^## Errors\n(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)
    assert shape(done.json) == shape(example_of(section))


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented(verb: str) -> None:
    """In the section of its verb, or among those that all have."""
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    common = {"--json", "--timeout"}
    assert options - common == set(re.findall(r"`(--[a-z-]+)", SECTIONS[verb])) - common


def test_every_status_is_documented() -> None:
    """By its number."""
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)} == {*Exit}
