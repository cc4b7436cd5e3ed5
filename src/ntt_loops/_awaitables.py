"""The methods of ``Loops`` that are awaited: the plain ones, made in a thread each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from ntt_loops._world import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops._attachment import Text
    from ntt_loops._medium import ReleaseReport, SweepReport


class Plain(Protocol):
    """What they need of ``Loops``."""

    def release_all(self, medium_or_image: Text, *, unmount: bool, timeout: float) -> ReleaseReport:
        """Release a medium."""

    def sweep(  # noqa: PLR0913 - those of Loops.sweep
        self,
        *,
        under: Text | Iterable[Text],
        system: bool,
        kept_older_than: float | None,
        dry_run: bool,
        record: bool,
        timeout: float,
    ) -> SweepReport:
        """Sweep."""


class Awaitables:
    """What ``Loops`` has of them. asyncio is imported at the first use."""

    async def release_all_async(
        self: Plain,
        medium_or_image: Text,
        *,
        unmount: bool = False,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - at its end holders are told, which asyncio.timeout cannot
    ) -> ReleaseReport:
        """Release every device of a medium, as ``release_all`` does; the event loop goes on meanwhile.

        Cancelled, it stops between two devices, or where it waits. What was released is released, what was not stays as
        it was, not armed; the cancellation goes on once the call has ended. What was wrong by then, as a write that was
        lost, is logged, and noted on the CancelledError.

        Args:
            medium_or_image: As in ``release_all``; so are all others.
            unmount: Whether to unmount first.
            timeout: Seconds for the whole call.

        Returns:
            What was done.

        Raises:
            RuntimeError: No event loop of asyncio runs here.
            NttLoopsError: As in ``release_all``.

        Needs what ``release_all`` needs, and costs a thread besides.
        """
        from ntt_loops._aside import Errand  # noqa: PLC0415 - only for those who await

        return await Errand(partial(self.release_all, medium_or_image, unmount=unmount, timeout=timeout)).result()

    async def sweep_async(  # noqa: PLR0913 - those of Loops.sweep
        self: Plain,
        *,
        under: Text | Iterable[Text] = (),
        system: bool = False,
        kept_older_than: float | None = None,
        dry_run: bool = False,
        record: bool = False,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - at its end the report tells what was not reached
    ) -> SweepReport:
        """Release orphans and tidy the ledgers, as ``sweep`` does; the event loop goes on meanwhile.

        Cancelled, it stops between two devices, or where it waits; none is left half-done, and the cancellation goes on
        once the call has ended.

        Args:
            under: As in ``sweep``; so are all others.
            system: Every device of the host whose image is deleted.
            kept_older_than: Seconds.
            dry_run: Change nothing.
            record: Put on record how it went.
            timeout: Seconds for the whole call.

        Returns:
            What was done with each device, and why one was kept.

        Raises:
            ValueError: ``kept_older_than`` or ``timeout`` is negative.
            RuntimeError: No event loop of asyncio runs here.
            NttLoopsError: As in ``sweep``.

        Needs what ``sweep`` needs, and costs a thread besides.
        """
        from ntt_loops._aside import Errand  # noqa: PLC0415 - only for those who await

        work = partial(
            self.sweep,
            under=under,
            system=system,
            kept_older_than=kept_older_than,
            dry_run=dry_run,
            record=record,
            timeout=timeout,
        )
        return await Errand(work).result()
