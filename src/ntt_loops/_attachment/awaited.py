"""The ``async with`` form of an attachment: the plain one, made and left in a thread of its own."""

from __future__ import annotations

import abc
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from ntt_loops._attachment.device import LoopDevice


class Awaited(abc.ABC):
    """What ``LoopAttachment`` has of it. asyncio is imported at the first use."""

    @abc.abstractmethod
    def __enter__(self) -> LoopDevice:
        """Attach."""

    @abc.abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach."""

    async def __aenter__(self) -> LoopDevice:
        """Attach; the event loop goes on meanwhile. Cancelled, nothing is attached, and the cancellation goes on.

        Raises:
            RuntimeError: It is attached already, or no event loop of asyncio runs here.
            NttLoopsError: As in ``with``.
        """
        from asyncio import CancelledError  # noqa: PLC0415 - only for those who await

        from ntt_loops._aside import Errand  # noqa: PLC0415

        errand = Errand(self.__enter__, unwanted=partial(self.__exit__, GeneratorExit, GeneratorExit(), None))
        try:
            return await errand.result()
        except CancelledError as cancelled:
            if errand.has_returned:  # it was faster than the cancellation
                await self.__aexit__(CancelledError, cancelled, cancelled.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach; the event loop goes on while that waits for others.

        Cancelled, it waits no longer: the descriptor is closed all the same, a device that somebody else uses goes with
        its last user, and the cancellation goes on; what was wrong besides is logged, and noted on it.

        Raises:
            DeviceBusyError: As in ``with``.
            ImageWriteError: As in ``with``.
        """
        from ntt_loops._aside import Errand, at_once, has_loop  # noqa: PLC0415 - only for those who await

        leave = partial(self.__exit__, kind, error, trace)
        if kind is GeneratorExit and not has_loop():
            at_once(leave)
        else:
            await Errand(leave, by_raising=False).result()
