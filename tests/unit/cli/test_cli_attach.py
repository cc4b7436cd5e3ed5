"""``ntt-loops attach`` and ``ntt-loops run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ntt_loops

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from ntt_loops.testing import MemoryKernel
    from tests.support.cli import CommandLine


def test_attach_prints_the_device_alone(cli: CommandLine) -> None:
    """For ``dev=$(ntt-loops attach ...)``: the path, a newline, and nothing on stderr."""
    assert cli("attach", "disk-12.img") == (0, "/dev/loop0\n", "")
    (medium,) = ntt_loops.list_media()
    assert (medium.medium, medium.attachments[0].made_by) == ("disk-12", "kept")


def test_attach_takes_medium_offset_and_writable(cli: CommandLine) -> None:
    """Each option does what the library's does."""
    done = cli("attach", "disk-12.img", "--medium", "m", "--offset", "512", "--writable", "--json").json
    assert (done["medium"], done["size_bytes"], done["read_only"]) == ("m", 4096 - 512, False)


def test_attach_of_what_is_no_image_is_a_sentence(cli: CommandLine, kernel: MemoryKernel, tmp_path: Path) -> None:
    """Missing, a folder, an offset past the end: status 1, nothing on stdout, nothing attached."""
    for arguments in (("nosuch.img",), (str(tmp_path),), ("disk-12.img", "--offset", "8192")):
        done = cli("attach", *arguments)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("ntt-loops: ")
        assert "Traceback" not in done.err
    assert kernel.bound_numbers() == []


def test_attach_says_the_error_as_json_too(cli: CommandLine) -> None:
    """With --json it is an object on stdout; the sentence stays on stderr."""
    done = cli("attach", "nosuch.img", "--json")
    assert (done.status, done.json["error"]) == (1, "ImageNotFoundError")
    assert "nosuch.img" in done.err


def test_a_warning_is_a_sentence(cli: CommandLine, tmp_path: Path) -> None:
    """Tail bytes, of which the library warns, are told on stderr."""
    (tmp_path / "odd.img").write_bytes(bytes(4097))
    done = cli("attach", "odd.img")
    assert done.out == "/dev/loop0\n"
    assert done.err.startswith("ntt-loops: warning: ")


def test_run_puts_the_device_in_place(cli: CommandLine, kernel: MemoryKernel) -> None:
    """Each {} is replaced, within an argument too, and the environment has it."""
    done = cli(
        "run", "disk-12.img", "--", "sh", "-c", 'echo "$@" $NTT_LOOPS_DEVICE', "sh", "{}", "if={}p1", "-n", "--json"
    )
    assert done == (0, "/dev/loop0 if=/dev/loop0p1 -n --json /dev/loop0\n", "")
    assert kernel.bound_numbers() == []


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("/nonexistent/command",), 127),
        (("nosuch-command-anywhere",), 127),
        (("/etc/passwd/x",), 127),
        (("/etc/passwd",), 126),
        (("/etc",), 126),
        (("",), 127),
    ],
)
def test_run_gives_the_commands_status(
    cli: CommandLine, kernel: MemoryKernel, command: tuple[str, ...], status: int
) -> None:
    """As a shell has it, and nothing stays."""
    assert cli("run", "disk-12.img", "--", *command).status == status
    assert kernel.bound_numbers() == []


def test_run_tells_in_json_as_its_last_line(cli: CommandLine, tmp_path: Path) -> None:
    """After whatever the command printed."""
    done = cli("run", "--json", "disk-12.img", "--", "echo", "hello")
    assert done.out.splitlines()[0] == "hello"
    last = done._replace(out=done.out.splitlines()[-1]).json
    assert last == {
        "medium": "disk-12",
        "image": str(tmp_path / "disk-12.img"),
        "device": "/dev/loop0",
        "status": 0,
        "detach_error": None,
    }


def test_run_says_75_only_where_the_command_succeeded(
    cli: CommandLine, kernel: MemoryKernel, mocker: MockerFixture
) -> None:
    """Somebody else has the device open: the command's own failure says more."""
    openers = []

    def child(*_: object) -> int:
        openers.append(kernel.open_elsewhere(0, pid=4711, command="udevd"))
        return len(openers) - 1

    mocker.patch("ntt_loops.cli.verbs.run.run_child", side_effect=child)
    good = cli("run", "--timeout", "0", "disk-12.img", "--", "true")
    assert good.status == 75
    assert "udevd (pid 4711) has /dev/loop0 open" in good.err
    openers[0].close()
    bad = cli("run", "--timeout", "0", "--json", "disk-12.img", "--", "false")
    assert bad.status == 1
    assert bad.json["detach_error"]["error"] == "DeviceBusyError"
    openers[1].close()
    assert kernel.bound_numbers() == []
