"""A step is undone at the end of its block, though the first try at that is interrupted."""

from __future__ import annotations

import pytest

from ntt_loops._attachment.claimed import Surely


class Step:
    """Counts how often it was undone; its first undoing may raise."""

    def __init__(self, first: BaseException | None = None) -> None:
        self.tries = 0
        self._first = first

    def undo(self) -> None:
        """Undo."""
        self.tries += 1
        if self.tries == 1 and self._first is not None:
            raise self._first


def _run(step: Step, *, took: bool = False, error: BaseException | None = None) -> None:
    undo = Surely(step.undo)
    with undo, undo:
        undo.is_needed = not took
        if error is not None:
            raise error


def test_it_is_undone_once() -> None:
    """Two exits undo once, with an error of the block as without."""
    for error in (None, ValueError("of the block")):
        step = Step()
        if error is None:
            _run(step)
        else:
            with pytest.raises(ValueError, match="of the block"):
                _run(step, error=error)
        assert step.tries == 1


def test_what_took_is_not_undone() -> None:
    """Nothing is undone where it is not needed any more."""
    step = Step()
    _run(step, took=True)
    assert step.tries == 0


def test_an_interrupted_undoing_is_made_up_for() -> None:
    """A Ctrl-C in the first exit goes on, and the second one undoes."""
    step = Step(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _run(step)
    assert step.tries == 2


def test_what_the_kernel_refused_is_not_tried_again() -> None:
    """An OSError goes on as it is: a call that may take its whole time is not made twice."""
    step = Step(OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        _run(step)
    assert step.tries == 1
