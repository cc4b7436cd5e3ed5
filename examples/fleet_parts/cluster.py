"""The cluster: a scheduler, and for each station a nanny with a worker process. On real hosts these are units."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster

from ntt_loops.dask import LoopsWorker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from examples.fleet_parts.station import Station

_HERE = {"host": "127.0.0.1"}
#: A task that merely waits on a worker which is killed counts as one that killed it. Ours can be run again.
_ALLOWED_FAILURES = 20
_PATIENCE_SECONDS = 120
#: A cluster that starts its workers itself gives up one that is not there 15 seconds after it was lost: on a busy
#: machine it may still be starting, and a killed one may just have been killed again. ``dask worker`` has no limit.
_LOST_AFTER = {"distributed.deploy.lost-worker-timeout": "1 hour"}
#: Ctrl-C in a terminal goes to all processes: it is for the one that can end the others.
_PRELOAD = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@contextlib.contextmanager
def connected(folder: Path, stations: Sequence[Station]) -> Iterator[Client]:
    """Start everything, wait until each worker has registered, and say where the dashboard is."""
    workers = {one.name: _worker(one) for one in stations}
    make_cluster: Any = SpecCluster  # its arguments have no types, nor have those of a client
    make_client: Any = Client
    with (
        dask.config.set({**_LOST_AFTER, "temporary-directory": os.fspath(folder)}),
        make_cluster(workers, scheduler=_scheduler(), silence_logs=logging.CRITICAL) as cluster,
        make_client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(len(stations), timeout=_PATIENCE_SECONDS)
        print(f"Scheduler at {client.scheduler.address}; dashboard: {_dashboard(cluster)}", flush=True)
        yield client


def _scheduler() -> dict[str, Any]:
    has_dashboard = _has_bokeh()
    ports = {"port": 0, "dashboard": has_dashboard, "dashboard_address": "127.0.0.1:0"}
    return {"cls": Scheduler, "options": {**_HERE, **ports, "allowed_failures": _ALLOWED_FAILURES}}


def _worker(station: Station) -> dict[str, Any]:
    """Return a nanny whose worker has the station's ledger, and the resource that the station's media ask for."""
    options = {
        **_HERE,
        "name": station.name,
        "worker_class": LoopsWorker,
        "env": {"NTT_LOOPS_RUN_DIR": os.fspath(station.run_dir)},
        "resources": {station.name: 1},
        "preload": [_PRELOAD],
        "nthreads": 1,
        "memory_limit": 0,
        "local_directory": os.fspath(station.folder / "scratch"),
        "silence_logs": logging.CRITICAL,
    }
    return {"cls": Nanny, "options": options}


def _dashboard(cluster: SpecCluster) -> str:
    return str(cluster.dashboard_link) if _has_bokeh() else "none, as bokeh is not installed"


def _has_bokeh() -> bool:
    return importlib.util.find_spec("bokeh") is not None
