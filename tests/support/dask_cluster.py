"""A Dask scheduler and its workers in this process, without a port that others know, and without a dashboard."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from distributed import Client, Scheduler

from ntt_loops.dask import LoopsPlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from distributed import Worker

#: Nothing here takes so long, unless it hangs.
NEVER_SECONDS: Final = 600.0
_HERE: Final[dict[str, Any]] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


@asynccontextmanager
async def scheduler_and_client() -> AsyncIterator[tuple[Scheduler, Client]]:
    """A scheduler, and one who asks it."""
    make_client: Any = Client  # its arguments have no types
    async with Scheduler(**_HERE, port=0) as scheduler, make_client(scheduler.address, asynchronous=True) as client:
        yield scheduler, client


def worker_of(scheduler: Scheduler, kind: Callable[..., Worker], **options: Any) -> Worker:
    """A worker of that class, named alice, which starts when it is awaited or entered."""
    return kind(scheduler.address, **{**_HERE, "name": "alice", "nthreads": 1, "memory_limit": 0, **options})


def started(worker: Worker) -> LoopsPlugin:
    """The plugin of a worker."""
    plugin = worker.plugins["ntt-loops"]
    assert isinstance(plugin, LoopsPlugin)
    return plugin


@contextmanager
def own_environment(folder: Path) -> Iterator[None]:
    """A ledger folder by the environment, which the plugin writes to; distributed says nothing meanwhile."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.worker")]
    levels = [logger.level for logger in loggers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NTT_LOOPS_RUN_DIR", str(folder / "run"))
        loggers[0].setLevel(logging.CRITICAL)
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; who never sees that is ended by ``run``."""
    while not holds():  # noqa: ASYNC110 - nobody tells of devices
        await asyncio.sleep(0.02)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end; a hang is a failure."""

    async def bounded() -> None:
        async with asyncio.timeout(NEVER_SECONDS):
            await work

    asyncio.run(bounded())
