"""Many hosts: what a Dask worker needs, so that loop devices are as safe on each as they are on one machine.

::

    dask worker SCHEDULER --name HOST --worker-class ntt_loops.dask.LoopsWorker

    client.register_plugin(LoopsPlugin())       # or so, for workers of any class

Needs the extra ``dask``: distributed.
"""

from __future__ import annotations

try:
    from ntt_loops.dask._plugin import LoopsPlugin, LoopsWorker
    from ntt_loops.dask._start import WorkerStart
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("dask", "distributed"):
        raise
    message = f"ntt_loops.dask needs {error.name}, which is not installed: pip install 'ntt-loops[dask]'"
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ["LoopsPlugin", "LoopsWorker", "WorkerStart"]
