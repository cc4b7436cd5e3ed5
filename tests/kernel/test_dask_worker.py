"""Dask workers as processes, on real devices: killed in the middle of a task, and refused."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntt_loops import attach_kept, attached
from tests.support import oracle
from tests.support.dask_cluster import NEVER_SECONDS, run, scheduler_and_client, until
from tests.support.media import new_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client, Scheduler

ROOT = Path(__file__).parents[2]


def hold(image: str, point: str) -> None:
    """The task that is killed: one device scoped, one kept, one mounted, and then it waits."""
    subprocess.run(["mkfs.ext4", "-q", "-F", f"{image}.ext4"], check=True)
    attach_kept(image)
    with attached(image), attached(f"{image}.ext4") as device:
        subprocess.run(["mount", "-o", "ro,noload", device, point], check=True)
        Path(point).with_name("holding").touch()
        signal.pause()


@contextmanager
def dask_worker(scheduler: Scheduler, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``dask worker`` as docs/fleet.md starts it, with a ledger of its own; it ends with the block."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.address, "--name", folder.name]
    command += ["--worker-class", "ntt_loops.dask.LoopsWorker", "--nthreads", "1", "--no-dashboard"]
    command += ["--host", "127.0.0.1", "--local-directory", str(folder), "--resources", f"{folder.name}=1", *options]
    environment = {**os.environ, "NTT_LOOPS_RUN_DIR": str(folder / "run"), "PYTHONPATH": str(ROOT)}
    with (
        (folder / "log").open("a") as log,
        subprocess.Popen(command, env=environment, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()  # it closes the worker, and that sweeps


def devices_in(folder: Path) -> list[str]:
    """Return the devices whose image lies there."""
    return oracle.bound_below(folder)


def new_host(tmp_path: Path, name: str) -> tuple[Path, Path]:
    """Make a worker's folder with two images and a mount point; return it and the first image."""
    folder = tmp_path / name
    (folder / "point").mkdir(parents=True)
    image = new_image(folder)
    Path(f"{image}.ext4").write_bytes(bytes(2**20))
    return folder, image


async def send(client: Client, folder: Path, image: Path) -> Any:  # noqa: ANN401 - a future
    """Send the task to the worker that has the image, and wait until it holds its devices."""
    future: Any = client.submit(hold, str(image), str(folder / "point"), resources={folder.name: 1}, pure=False)
    await until(lambda: future.done() or (folder / "holding").exists())
    assert not future.done(), await future
    return future


def test_killed_in_the_middle_of_a_task_nothing_stays(tmp_path: Path) -> None:
    """A worker is killed, and the nanny of another: scoped devices go at once, the rest when the next worker starts."""
    one, first = new_host(tmp_path, "one")
    two, second = new_host(tmp_path, "two")

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, client):
            with dask_worker(scheduler, one, "--no-nanny") as bare, dask_worker(scheduler, two) as nanny:
                await until(lambda: len(scheduler.workers) == 2)
                futures = [await send(client, one, first), await send(client, two, second)]
                assert (len(devices_in(one)), len(devices_in(two))) == (3, 3)
                bare.kill()
                nanny.kill()
                # What is kept and what is mounted is left. A worker ends itself when its nanny is gone.
                await until(lambda: (len(devices_in(one)), len(devices_in(two))) == (2, 2))
                await asyncio.gather(*(future.cancel() for future in futures))
            with dask_worker(scheduler, one, "--no-nanny"), dask_worker(scheduler, two, "--no-nanny"):
                await until(lambda: len(scheduler.workers) == 2)
                assert (devices_in(one), devices_in(two)) == ([], [])
                started = await client.run(released)
            assert sorted(started.values()) == [("one", 2), ("two", 2)]

    run(work())
    assert not (one / "point").is_mount()


def released(dask_worker: Any) -> tuple[str, int]:  # noqa: ANN401 - it is a worker
    """Return, on a worker, its name and how much its start released."""
    return dask_worker.name, len(dask_worker.plugins["ntt-loops"].start.released)


def test_a_worker_without_a_fit_ledger_ends(tmp_path: Path) -> None:
    """Its process and its nanny end with a failure and the reason, and it never registers."""
    folder, _ = new_host(tmp_path, "host")
    (folder / "run").mkdir()
    (folder / "run").chmod(0o777)

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _):
            with dask_worker(scheduler, folder) as process:
                assert await asyncio.to_thread(process.wait, NEVER_SECONDS) != 0
            assert scheduler.workers == {}

    run(work())
    assert "can be written by others" in (folder / "log").read_text()
