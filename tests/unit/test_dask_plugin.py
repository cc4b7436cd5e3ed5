"""What a Dask worker does with a LoopsPlugin, on the kernel in memory."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from distributed import Worker

from ntt_loops import (
    AttachError,
    KernelError,
    LedgerError,
    LoopUnavailableError,
    NttLoopsError,
    attached,
)
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops.dask import LoopsPlugin, LoopsWorker
from ntt_loops.testing import MemoryKernel, in_memory
from tests.support.dask_cluster import own_environment, run, scheduler_and_client, started, worker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

NO_CONTROL = FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/loop-control")


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path) -> Iterator[None]:
    """A ledger folder of the test's own, and quiet."""
    with own_environment(tmp_path):
        yield


@pytest.fixture
def kernel() -> Iterator[MemoryKernel]:
    """A kernel in memory, with a ledger of its own."""
    with in_memory() as memory:
        yield memory


def test_a_worker_that_may_use_loop_devices_takes_tasks(kernel: MemoryKernel) -> None:
    """It tries a device, which is gone again, and its report says which ledger is its own."""

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client), worker_of(scheduler, LoopsWorker) as worker:
            assert kernel.bound_numbers() == []
            start = started(worker).start
            assert start is not None
            assert (start.pid, start.released, start.left) == (os.getpid(), (), ())
            assert start.to_dict()["run_dir"] == str(start.run_dir)
            assert [path.name for path in start.run_dir.iterdir()] == ["worker.lock"]
            assert await client.submit(sum, [1, 2]) == 3

    run(work())


def test_without_loop_control_it_does_not_register(kernel: MemoryKernel, mocker: MockerFixture) -> None:
    """The worker's start fails with the reason, and the scheduler never hears of it."""
    mocker.patch.object(kernel, "get_free", side_effect=NO_CONTROL)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _):
            with pytest.raises(RuntimeError) as caught:
                await worker_of(scheduler, LoopsWorker)
            assert isinstance(caught.value.__cause__, LoopUnavailableError)
            assert "/dev/loop-control" in str(caught.value.__cause__)
            assert (scheduler.workers, scheduler.total_nthreads) == ({}, 0)

    run(work())


def test_a_device_that_shows_something_else_is_no_device(kernel: MemoryKernel, mocker: MockerFixture) -> None:
    """What a task would read of an image would not be the image."""
    mocker.patch.object(kernel, "get_size_bytes", return_value=512)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _):
            with pytest.raises(RuntimeError) as caught:
                await worker_of(scheduler, LoopsWorker)
            assert isinstance(caught.value.__cause__, AttachError)

    run(work())
    assert kernel.bound_numbers() == []


def test_a_worker_whose_plugin_a_client_registered_closes(kernel: MemoryKernel, mocker: MockerFixture) -> None:
    """Without that, it would stay in service; the client is told why it goes."""
    mocker.patch.object(kernel, "get_free", side_effect=NO_CONTROL)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client):
            async with worker_of(scheduler, Worker) as worker:
                with pytest.raises(LoopUnavailableError, match="loop-control"):
                    await client.register_plugin(LoopsPlugin())
                await worker.finished()
            assert scheduler.workers == {}

    run(work())


def test_a_worker_that_comes_later_gets_no_task(kernel: MemoryKernel, mocker: MockerFixture) -> None:
    """A task waits; a worker registers, fails, and closes before it ran it. The next worker gets it."""
    mocker.patch.object(kernel, "get_free", side_effect=NO_CONTROL)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client):
            await client.register_plugin(LoopsPlugin())
            task = client.submit(os.getpid, pure=False)
            worker = await worker_of(scheduler, Worker)
            await worker.finished()
            assert (task.status, worker.state.executed_count) == ("pending", 0)
            assert scheduler.workers == {}
            mocker.stopall()
            async with worker_of(scheduler, Worker):
                assert await task == os.getpid()

    run(work())


def test_given_twice_by_the_same_name_it_is_once(kernel: MemoryKernel) -> None:
    """A second client that registers it, too, disturbs nothing."""

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client), worker_of(scheduler, Worker) as worker:
            await client.register_plugin(LoopsPlugin())
            first = started(worker)
            await client.register_plugin(LoopsPlugin())
            assert started(worker) is first
            assert kernel.bound_numbers() == []

    run(work())


def test_given_twice_by_two_names_the_second_is_refused() -> None:
    """The error names the first, which stays; and so does the worker."""

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client), worker_of(scheduler, LoopsWorker) as worker:
            with pytest.raises(LedgerError, match="has a LoopsPlugin already"):
                await client.register_plugin(LoopsPlugin(), name="another")
            assert await client.submit(sum, [1, 2]) == 3
            assert started(worker).start is not None

    with in_memory():
        run(work())


async def refusal(plugin: LoopsPlugin, **options: object) -> str:
    """Return why a worker with that plugin does not start: on the real kernel, which is not come to."""
    async with scheduler_and_client() as (scheduler, _):
        with pytest.raises(RuntimeError) as caught:
            await worker_of(scheduler, LoopsWorker, plugins=(plugin,), **options)
        assert isinstance(caught.value.__cause__, LedgerError)
        return str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("run_dir", "reason"),
    [
        ("/run/ntt-loops", "the ledger of everybody on this host"),
        ("/proc/ntt-loops", "cannot be made"),
        ("{tmp}/a file", "is not a folder"),
        ("{tmp}/open", "can be written by others"),
        ("{tmp}/{worker}", "this worker has none that lasts"),
    ],
)
def test_a_folder_that_is_not_fit_is_refused(run_dir: str, reason: str, tmp_path: Path) -> None:
    """The host's own, one that cannot be written or trusted, one that goes by a name where there is none."""
    (tmp_path / "a file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)

    async def work() -> None:
        assert reason in await refusal(LoopsPlugin(run_dir.replace("{tmp}", str(tmp_path))), name=None)

    run(work())


def test_the_ledger_of_another_worker_is_refused(tmp_path: Path) -> None:
    """Another process has its lock: the error says which, and how each worker gets one of its own."""
    script = (
        "import sys; from ntt_loops._ledger import Ledger; from ntt_loops._backoff import Deadline\n"
        "from ntt_loops.dask._own_ledger import lock; from ntt_loops.testing import MemoryKernel\n"
        f"file = lock(Ledger({str(tmp_path / 'run')!r}, MemoryKernel()), Deadline.after(0))\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"

        async def work() -> None:
            said = await refusal(LoopsPlugin(timeout=0))
            assert f"(pid {other.pid})" in said
            assert "{worker}" in said

        run(work())
        other.communicate()


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("ntt_loops.dask._own_ledger.os.pwrite", KernelError, "No space left on device"),
        ("pathlib.Path.write_bytes", LedgerError, "cannot be written: No space left on device"),
    ],
)
@pytest.mark.usefixtures("kernel")
def test_a_full_disk_is_a_reason_too(what: str, error: type[NttLoopsError], words: str, mocker: MockerFixture) -> None:
    """Nothing of the ledger is held afterwards, and a worker that a client gave the plugin to closes."""
    mocker.patch(what, side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    before = open_numbers()

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client), worker_of(scheduler, Worker) as worker:
            with pytest.raises(error, match=words):
                await client.register_plugin(LoopsPlugin())
            await worker.finished()

    run(work())
    assert open_numbers() == before


def test_a_name_becomes_a_folder(tmp_path: Path) -> None:
    """Each worker of a host has its own by one setting, whatever its name holds."""
    plugin = LoopsPlugin(f"{tmp_path}/{{worker}}")

    async def work() -> None:
        async with (
            scheduler_and_client() as (scheduler, client),
            worker_of(scheduler, LoopsWorker, plugins=(plugin,), name="a/b c"),
        ):
            assert await client.submit(os.environ.get, "NTT_LOOPS_RUN_DIR") == f"{tmp_path}/a%2Fb%20c"

    with in_memory():
        run(work())


@pytest.mark.usefixtures("kernel")
def test_a_task_that_names_a_function_uses_that_of_its_process() -> None:
    """What goes over the network is its name, not the ledger or the kernel of the client."""
    assert pickle.loads(pickle.dumps(attached)) == attached  # noqa: S301 - our own


def test_a_timeout_is_a_number_of_seconds() -> None:
    """It is seen where the plugin is made, not on a worker."""
    with pytest.raises(ValueError, match="timeout"):
        LoopsPlugin(timeout=-1)


def test_without_distributed_it_says_what_to_install() -> None:
    """The extra's name is in the error; another module that is missing is named as it is."""
    code = "import sys; sys.modules[{!r}] = None\nimport ntt_loops.dask"
    command = [sys.executable, "-c", code.format("distributed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ntt_loops.dask needs distributed, which is not installed: pip install 'ntt-loops[dask]'" in done.stderr
    command = [sys.executable, "-c", code.format("attrs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ntt-loops[dask]" not in done.stderr
