"""What a Dask worker releases at its start and at its end, on the kernel in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import (
    MountError,
    attach_kept,
    attached,
)
from ntt_loops._default import DEFAULT
from ntt_loops.dask import LoopsPlugin, LoopsWorker
from ntt_loops.testing import MemoryKernel, in_memory
from tests.support.dask_cluster import own_environment, run, scheduler_and_client, started, worker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

DEAD, LIVING = 5_000_001, 5_000_002


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


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """An endless supply of images."""
    return (make_image(tmp_path / f"disk-{number}.img") for number in range(100))


def make_image(path: Path) -> Path:
    """Make an image of 16 sectors."""
    path.write_bytes(bytes(8192))
    return path


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


def test_what_of_the_dead_cannot_be_released_is_told(
    kernel: MemoryKernel, images: Iterator[Path], mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the reason is, the worker starts, warns, and its report has it."""
    with kernel.as_process(DEAD):
        attach_kept(next(images))
    kernel.kill(DEAD)
    mocker.patch.object(DEFAULT, "release", side_effect=MountError("umount(8) failed: a reason"))

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _), worker_of(scheduler, LoopsWorker) as worker:
            start = started(worker).start
            assert start is not None
            assert (start.released, start.left) == ((), ("umount(8) failed: a reason",))

    run(work())
    assert "umount(8) failed: a reason" in caplog.messages


def test_what_stands_on_a_spoilt_ledger_is_released_all_the_same(
    kernel: MemoryKernel, images: Iterator[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger is made anew from the tags, which the sweep warns of."""
    with kernel.as_process(DEAD):
        medium = attach_kept(next(images)).medium
    kernel.kill(DEAD)
    ledger = DEFAULT._world().ledger.run_dir / f"{medium}.jsonl"
    ledger.write_text("no ledger\n")

    async def work() -> None:
        async with scheduler_and_client() as (scheduler, _), worker_of(scheduler, LoopsWorker):
            assert kernel.bound_numbers() == []

    run(work())
    assert any("was set aside" in message for message in caplog.messages)


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
