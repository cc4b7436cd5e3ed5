"""``ntt-loops run`` on real devices: signals, statuses, and that nothing stays."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import new_id
from tests.support.terminal import CTRL_C, CTRL_Z, LISTENER, NTT_LOOPS, line_of, ntt_loops, started, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

PASSED_ON = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    return make_image(tmp_path / f"{new_id()}.img", fs=None, size_bytes=2**20)


@pytest.fixture
def end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Tell the listener to end, with status 3."""
    file = tmp_path / "end"
    monkeypatch.setenv("END_FILE", str(file))
    return file.touch


def test_the_command_reads_the_image_through_the_device(image: Path) -> None:
    """What it prints goes where ours goes, and the device is gone afterwards."""
    done = ntt_loops("run", image, "--", "sha256sum", "{}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == oracle.sha256(image)
    assert oracle.bound_devices(image) == []


def test_the_command_inherits_nothing_of_ours(image: Path) -> None:
    """No descriptor but those that we were given, no blocked or ignored signal."""
    # Of the ignored ones the lower half: glibc's posix_spawn ignores 32 and 33, which are its own.
    command = "ls /proc/self/fd; grep SigBlk /proc/self/status; grep SigIgn /proc/self/status | tail -c 8"
    own = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    done = subprocess.run(
        [NTT_LOOPS, "run", image, "--", "sh", "-c", command], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout == own.stdout


def test_writing_takes_writable(image: Path) -> None:
    """By default the image cannot be changed."""
    write = ("run", image, "--", "dd", "if=/dev/zero", "of={}", "bs=4096", "count=1", "conv=fsync", "status=none")
    before = oracle.sha256(image)
    assert ntt_loops(*write).returncode == 1
    assert oracle.sha256(image) == before
    assert ntt_loops("run", "--writable", *write[1:]).returncode == 0
    assert image.read_bytes()[:4096] == bytes(4096)


@pytest.mark.parametrize("name", PASSED_ON)
def test_signals_pass_through(image: Path, name: str, end: Callable[[], None]) -> None:
    """The command gets it once, we live on, and its status is ours."""
    with started("run", image, "--", *LISTENER) as process:
        assert line_of(process) == "ready"
        process.send_signal(getattr(signal, name))
        assert line_of(process) == name
        assert len(oracle.bound_devices(image)) == 1
        end()
        assert process.communicate() == ("", "")
        assert process.returncode == 3
    assert oracle.bound_devices(image) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_signal_that_ends_the_command(image: Path, name: str) -> None:
    """128 and its number, as in a shell."""
    number = getattr(signal, name)
    done = ntt_loops("run", image, "--", "sh", "-c", f"kill -{number} $$")
    assert done.returncode == 128 + number
    assert oracle.bound_devices(image) == []


def test_ctrl_c_is_not_doubled(image: Path, end: Callable[[], None]) -> None:
    """The terminal sends it to the command as well as to us."""
    with terminal(NTT_LOOPS, "run", image, "--", *LISTENER) as screen:
        screen.wait_for("ready")
        screen.send(CTRL_C)
        screen.wait_for("SIGINT")
        time.sleep(0.2)
        end()
        assert screen.end() == 3
        assert screen.shown.count("SIGINT") == 1
    assert oracle.bound_devices(image) == []


def test_ctrl_c_ends_a_command_that_does_not_care(image: Path) -> None:
    """130, no traceback, nothing attached."""
    with terminal(NTT_LOOPS, "run", image, "--", "sh", "-c", "echo ready; exec sleep 60") as screen:
        screen.wait_for("ready")
        screen.send(CTRL_C)
        assert screen.end() == 130
        assert screen.shown.replace("^C", "").split() == ["ready"]
    assert oracle.bound_devices(image) == []


def test_ctrl_z_and_fg(image: Path, end: Callable[[], None]) -> None:
    """Both stop, and both go on; the device stays meanwhile."""
    run = shlex.join([NTT_LOOPS, "run", os.fspath(image), "--", *LISTENER])
    script = f"set -m; {run}; echo stopped=$?; read -r line; fg >/dev/null; echo ended=$?"
    with terminal("bash", "-c", script) as screen:
        screen.wait_for("ready")
        screen.send(CTRL_Z)
        screen.wait_for(f"stopped={128 + signal.SIGTSTP}")
        assert len(oracle.bound_devices(image)) == 1
        screen.send(b"\n")
        end()
        screen.wait_for("ended=3")
        assert screen.end() == 0
    assert oracle.bound_devices(image) == []


def test_a_stop_that_is_sent_to_us_stops_both(image: Path, end: Callable[[], None]) -> None:
    """And SIGCONT lets both go on."""
    # A group of its own whose parent, us, is of another group and the same session: no other can be stopped so.
    run = [NTT_LOOPS, "run", os.fspath(image), "--", *LISTENER]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        pid = process.pid
        assert line_of(process) == "ready"
        (child,) = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        os.kill(pid, signal.SIGTSTP)
        oracle.wait_until(lambda: state_of(pid) == state_of(child) == "T", "both are stopped")
        os.kill(pid, signal.SIGCONT)
        oracle.wait_until(lambda: "T" not in (state_of(pid), state_of(child)), "both go on")
        end()
        assert process.wait() == 3
    assert oracle.bound_devices(image) == []


def state_of(pid: int) -> str:
    """Return the letter that /proc has for the state of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_sigkill_of_ours_leaves_the_device_to_the_command(image: Path) -> None:
    """The kernel detaches it when the command that has it open is gone."""
    with started("run", image, "--", *LISTENER, "{}") as process:
        ready, device = line_of(process).split()
        assert ready == "ready"
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        assert oracle.bound_devices(image) == [device]
        os.kill(int(child), signal.SIGKILL)
        oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")


def test_a_process_that_the_command_left_behind(image: Path, tmp_path: Path) -> None:
    """The command succeeded and the detach did not: 75, and who has it; the device goes with its last user."""
    end = tmp_path / "end"
    script = f"exec 3<{{}}; (while [ ! -e {shlex.quote(str(end))} ]; do sleep 0.05; done) >/dev/null 2>&1 & exit 0"
    done = ntt_loops("run", "--timeout", "0.2", image, "--", "sh", "-c", script)
    assert done.returncode == 75
    assert "has /dev/loop" in done.stderr
    end.touch()
    oracle.wait_until(lambda: not oracle.bound_devices(image), "its last user is gone")


def _has_a_device_open(pid: int) -> bool:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed just now
            if str(fd.readlink()).startswith("/dev/loop"):
                return True
    return False


def test_sigterm_while_it_waits_for_others_leaves_nothing_after_them(image: Path, tmp_path: Path) -> None:
    """The device was let go already."""
    end, ran = tmp_path / "end", tmp_path / "ran"
    stay = f"(while [ ! -e {shlex.quote(str(end))} ]; do sleep 0.05; done) >/dev/null 2>&1 &"
    script = f"exec 3<{{}}; {stay} : >{shlex.quote(str(ran))}"
    with started("run", "--timeout", "60", image, "--", "sh", "-c", script) as process:
        oracle.wait_until(ran.exists, "the command has run")
        oracle.wait_until(lambda: not _has_a_device_open(process.pid), "the device is let go")
        process.terminate()
        assert process.wait() == -signal.SIGTERM
        end.touch()
    oracle.wait_until(lambda: not oracle.bound_devices(image), "its last user is gone")
