"""What starting costs: the imports and the command line, and what their dependencies cost alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.benchmarks.children import Starts
from tests.benchmarks.measuring import Contender, Row, interleaved, timed

if TYPE_CHECKING:
    from tests.benchmarks.place import Place

DEPENDENCIES: Final = "`import attrs, json, logging, pathlib`"
LIBRARY: Final = "`from ntt_loops import attached, release_all, sweep`"
CLICK: Final = "`import click`"
VERSION: Final = "`ntt-loops --version`"
BOTH: Final = "`import click, attrs, json, logging, pathlib`"
RELEASE: Final = "`ntt-loops release` of a medium that has nothing"


def measure(place: Place) -> list[Row]:
    """Measure a new process of each."""
    new = Starts(place.tmpfs)
    runs = {
        "`python -c pass`": new.python("pass"),
        DEPENDENCIES: new.python("import attrs, json, logging, pathlib"),
        "`import ntt_loops`": new.python("import ntt_loops"),
        LIBRARY: new.python("from ntt_loops import attached, release_all, sweep"),
        CLICK: new.python("import click"),
        VERSION: new.console_script("--version"),
        BOTH: new.python("import click, attrs, json, logging, pathlib"),
        RELEASE: new.console_script("release", "nothing-of-that-name"),
    }
    contenders = [Contender(name, timed(run)) for name, run in runs.items()]
    return interleaved("a process", contenders, rounds=place.extent.of(60, 3), warm_up=place.extent.of(5, 1))
