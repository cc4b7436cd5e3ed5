"""Failing the test that left something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ntt_loops.pytest_plugin._images import IMAGES
from ntt_loops.pytest_plugin._watch import Watch, watching, watching_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ntt_loops.pytest_plugin._leak import Leak

_WATCH: Final = pytest.StashKey[Watch]()
#: What failed a test already is no news at the end of the run.
_TOLD: Final = pytest.StashKey[set[tuple[object, ...]]]()
_LOOKER: Final = "ntt_loops-looker"


class Looker:
    """The hook that looks between a test and its teardown."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Look what is there before the fixtures end."""
        if _WATCH in item.stash:
            item.stash[_WATCH].look()


def watch_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Watch a test, and fail it at its end if it left something."""
    if request.node.get_closest_marker("loop_leaks_allowed") is not None:
        yield
        return
    manager = request.config.pluginmanager
    if not manager.has_plugin(_LOOKER):
        manager.register(Looker(), _LOOKER)
    base = request.getfixturevalue("tmp_path_factory").getbasetemp()
    with watching(base) as watch:
        request.node.stash[_WATCH] = watch
        yield
        leaks = watch.leaks(lambda: request.node.stash.get(IMAGES, ()))
        del request.node.stash[_WATCH]
        request.config.stash.setdefault(_TOLD, set()).update(one.key for one in leaks)
        sentences = _undo(leaks, watch, base)
    del watch, leaks  # a traceback keeps what its frames have: it is not to keep kernels, and so images, open
    _fail("the test", sentences)


def watch_run(config: pytest.Config, base: Path) -> Iterator[None]:
    """Watch a whole run, and fail its last test if fixtures wider than a test have left something."""
    with watching_run(base) as watch:
        yield
        told = config.stash.get(_TOLD, set())
        sentences = _undo([one for one in watch.leaks() if one.key not in told], watch, base)
    _fail("the fixtures of this run", sentences)


def _fail(who: str, sentences: list[str]) -> None:
    if sentences:
        pytest.fail("\n  ".join([f"{who} left behind:", *sentences]), pytrace=False)


def _undo(leaks: Sequence[Leak], watch: Watch, base: Path) -> list[str]:
    """Undo what may be undone, and return a sentence for each leak."""
    undoable = [one for one in leaks if one.may_be_undone]
    if undoable:
        from ntt_loops.pytest_plugin._undo import undo  # noqa: PLC0415 - for the real kernel, which not all have

        undo(undoable, base / "ntt-loops-guard")
    left = {one.key for one in watch.leaks()} if undoable else set()
    return [f"{one.text}{_outcome(one, is_left=one.key in left)}" for one in leaks]


def _outcome(leak: Leak, *, is_left: bool) -> str:
    if not leak.may_be_undone:
        return ""
    return " (in use: it is still there)" if is_left else " (it was released now)"
