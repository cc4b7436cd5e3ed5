"""The plugin that a worker's machine has to pass, and a worker class that comes with it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from distributed import Status, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from ntt_loops._backoff import Deadline
from ntt_loops._default import DEFAULT
from ntt_loops._kernel_errors import kernel_errors
from ntt_loops._world import TIMEOUT_SECONDS
from ntt_loops.dask import _own_ledger, _start
from ntt_loops.dask._start import WorkerStart
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    import io
    from pathlib import Path

logger = logging.getLogger("ntt_loops")

_VARIABLE = "NTT_LOOPS_RUN_DIR"
#: A folder of its own for each worker of the host.
_DEFAULT_FOLDER = "/run/ntt-loops-workers/{worker}"
#: Ledgers that a worker of this process had before: what is on them is not of the dead.
_begun: set[Path] = set()


class LoopsPlugin(WorkerPlugin):
    """Lets a worker take tasks only where loop devices can be had, and cleans up behind the worker before it.

    Before the first task it makes sure that the ledger folder is this worker's alone, attaches and detaches a small
    image, sweeps, and releases what processes that are dead left on that ledger: kept devices, and devices that are
    mounted. At the end it sweeps once more.

    A machine that fails gets no work. Given to a worker when it is made - as ``LoopsWorker`` does, or by ``plugins=`` -
    the worker does not register, and its process ends. Registered by a client, the client is told and the worker closes
    itself: distributed would go on with a worker whose plugin failed.

    Args:
        run_dir: The ledger folder, which the worker's tasks use from then on, and what they start:
            it is set as NTT_LOOPS_RUN_DIR. ``{worker}`` in it stands for the worker's name. By default
            what NTT_LOOPS_RUN_DIR is in the worker's environment, else ``/run/ntt-loops-workers/{worker}``. It must be
            the same when the worker is started again, and on a file system that a reboot empties.
        timeout: Seconds that each step may wait: for a worker before that is still dying, and for busy devices.

    Attributes:
        start: What the start came to (``WorkerStart``); None before, and where it failed.

    Setting it up raises LedgerError where the folder cannot be used or is another worker's, LoopUnavailableError where
    no device can be had, LoopPermissionError without the privilege, AttachError or DeviceBusyError where a device did
    not do what it should, and KernelError where the machine refused another call.

    Needs root, or CAP_SYS_ADMIN and access to /dev/loop-control and the nodes. Its cost grows with what is on the
    ledger, and with the bound devices of the host.
    """

    name = "ntt-loops"
    #: A client that registers it again changes nothing: the worker's tasks would lose what they keep.
    idempotent = True

    def __init__(self, run_dir: str | os.PathLike[str] | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        Deadline.after(timeout)  # ValueError for what is none
        self._run_dir = None if run_dir is None else os.fspath(run_dir)
        self._timeout = timeout
        self._lock: io.FileIO | None = None
        self.start: WorkerStart | None = None

    def setup(self, worker: Worker) -> None:
        """Check and clean up. It blocks the worker, which has nothing else to do before that."""
        self._see_that_it_is_the_only_one(worker)
        try:
            self.start = self._begin(worker)
        except BaseException:
            self._let_go()
            _refuse(worker)
            raise
        extra = {"run_dir": str(self.start.run_dir), "released": self.start.released}
        logger.info("the worker %s may use loop devices", worker.name, extra=extra)

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - distributed gives it
        """Sweep, and let the ledger go. What tasks still use in their threads stays, and is on record."""
        if self._lock is None:
            return
        try:
            _start.sweep(DEFAULT, self._timeout)
        finally:
            self._let_go()

    def _see_that_it_is_the_only_one(self, worker: Worker) -> None:
        for name, other in worker.plugins.items():
            if other is not self and isinstance(other, LoopsPlugin) and other.start is not None:
                message = f"this worker has a LoopsPlugin already ({name!r}), with the ledger {other.start.run_dir}"
                raise LedgerError(message, path=other.start.run_dir)

    @kernel_errors()
    def _begin(self, worker: Worker) -> WorkerStart:
        run_dir = self._run_dir or os.environ.get(_VARIABLE) or _DEFAULT_FOLDER
        os.environ[_VARIABLE] = str(_own_ledger.folder_of(run_dir, _lasting_name(worker)))
        kernel, ledger = DEFAULT._world()  # noqa: SLF001 - those that the worker's tasks use
        self._lock = _own_ledger.lock(ledger, Deadline.after(self._timeout))
        _start.check_machine(DEFAULT, ledger, self._timeout)
        released = _start.sweep(DEFAULT, self._timeout)
        left: list[str] = []
        if ledger.run_dir not in _begun:
            more, left = _start.release_predecessors(DEFAULT, kernel, ledger, self._timeout)
            released += more
        _begun.add(ledger.run_dir)
        return WorkerStart(ledger.run_dir, os.getpid(), tuple(dict.fromkeys(released)), tuple(left))

    def _let_go(self) -> None:
        if self._lock is not None:
            _own_ledger.unlock(self._lock)
            self._lock = None


class LoopsWorker(Worker):
    """A worker that comes with a ``LoopsPlugin``: ``dask worker --worker-class ntt_loops.dask.LoopsWorker``.

    Its ledger folder is what NTT_LOOPS_RUN_DIR says, as the plugin has it. Where loop devices cannot be had it does not
    register with the scheduler, and its process ends: under systemd that is a failed unit.
    """

    def __init__(self, *args: Any, plugins: tuple[WorkerPlugin, ...] = (), **options: Any) -> None:
        if not any(isinstance(one, LoopsPlugin) for one in plugins):
            plugins = (LoopsPlugin(), *plugins)
        super().__init__(*args, plugins=plugins, **options)


def _lasting_name(worker: Worker) -> str | None:
    """Return the name that the worker was given; else it is its address, which is another one the next time."""
    return None if worker.name in (None, worker.address) else str(worker.name)


def _refuse(worker: Worker) -> None:
    """Close a worker that has registered, and with it its nanny, which would start it again.

    A worker that has not registered yet does so by itself, by the error.
    """
    if worker.status == Status.running:
        worker.loop.add_callback(worker.close, reason="ntt-loops-refused")
