"""A Dask scheduler and its workers in this process, without a port that others know, and without a dashboard."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, Scheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from distributed import Worker

#: Nothing here takes so long, unless it hangs.
NEVER_SECONDS: Final = 120.0
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
