"""What a Dask worker does with a LoopsPlugin, on the kernel in memory."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from distributed import Worker

from ntt_loops import LedgerError, LoopUnavailableError, attach_kept, attached
from ntt_loops.dask import LoopsPlugin, LoopsWorker
from ntt_loops.testing import MemoryKernel, in_memory
from tests.support.dask_cluster import run, scheduler_and_client, worker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

DEAD, LIVING = 5_000_001, 5_000_002
NO_CONTROL = FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/loop-control")

pytestmark = pytest.mark.usefixtures("_environment")


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A ledger folder by the environment, which the plugin writes to; distributed says nothing meanwhile."""
    monkeypatch.setenv("NTT_LOOPS_RUN_DIR", str(tmp_path / "run"))
    logger = logging.getLogger("distributed")
    levels = {name: logging.getLogger(name).level for name in ("distributed", "distributed.worker")}
    logger.setLevel(logging.CRITICAL)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def kernel() -> Iterator[MemoryKernel]:
    """A kernel in memory, with a ledger of its own."""
    with in_memory() as memory:
        yield memory


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """An endless supply of images."""
    return (make_image(tmp_path / f"disk-{number}.img") for number in range(100))


def make_image(path: Path) -> Path:
    """Make an image of 16 sectors."""
    path.write_bytes(bytes(8192))
    return path


def started(worker: Worker) -> LoopsPlugin:
    """Return the plugin of a worker."""
    plugin = worker.plugins["ntt-loops"]
    assert isinstance(plugin, LoopsPlugin)
    return plugin


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


def test_what_the_dead_left_is_released_and_nothing_else(kernel: MemoryKernel, images: Iterator[Path]) -> None:
    """Kept, scoped and mounted, orphaned: gone. What a living process has, and a stranger's device, stay."""
    kept, mounted, orphan, living, foreign = (next(images) for _ in range(5))
    with kernel.as_process(DEAD):
        attach_kept(kept)
        attach_kept(orphan)
        never_left = attached(mounted)
        kernel.mount(never_left.__enter__().number, mounted.parent / "point")
    kernel.kill(DEAD)
    orphan.unlink()
    with kernel.as_process(LIVING):
        stays = [attach_kept(living).number]
    stays.append(kernel.attach_foreign(foreign))

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _), worker_of(scheduler, LoopsWorker) as worker:
            assert kernel.bound_numbers() == stays
            start = started(worker).start
            assert start is not None
            assert (len(start.released), start.left) == (3, ())

    run(work())
    assert kernel.bound_numbers() == stays


def test_what_of_the_dead_is_in_use_stays_and_is_told(kernel: MemoryKernel, images: Iterator[Path]) -> None:
    """A reader that outlived its worker: the device stays, the worker starts, and the report has the reader."""
    with kernel.as_process(DEAD):
        number = attach_kept(next(images)).number
    kernel.open_elsewhere(number, pid=LIVING, command="cp")
    kernel.kill(DEAD)

    async def work() -> None:
        plugins = (LoopsPlugin(timeout=0.1),)
        async with (
            scheduler_and_client() as (scheduler, _),
            worker_of(scheduler, LoopsWorker, plugins=plugins) as worker,
        ):
            start = started(worker).start
            assert start is not None
            (sentence,) = start.left
            assert "cp (pid 5000002)" in sentence

    run(work())
    assert kernel.bound_numbers() == [number]


def test_it_sweeps_at_its_end(kernel: MemoryKernel, images: Iterator[Path]) -> None:
    """An orphan of a task is gone with the worker, and the next worker gets the ledger."""
    image = next(images)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _):
            async with worker_of(scheduler, LoopsWorker):
                attach_kept(image)
                image.unlink()
            assert kernel.bound_numbers() == []
            async with worker_of(scheduler, LoopsWorker):
                pass

    run(work())


def test_what_a_task_keeps_outlives_a_new_plugin(kernel: MemoryKernel, images: Iterator[Path]) -> None:
    """A device that a program of a task keeps is not of the dead, though that program has ended."""

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client), worker_of(scheduler, LoopsWorker) as worker:
            with kernel.as_process(DEAD):
                number = attach_kept(next(images)).number
            kernel.kill(DEAD)
            before = started(worker)
            await client.register_plugin(LoopsPlugin())
            assert started(worker) is not before
            assert kernel.bound_numbers() == [number]

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
